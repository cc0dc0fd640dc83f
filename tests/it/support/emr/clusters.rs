//! Clusters and their steps, as EMR keeps them.

use serde_json::{Value, json};

/// Active steps at most.
const MAX_ACTIVE: usize = 256;
/// Characters of a step's arguments at most.
const MAX_ARGUMENTS: usize = 10_240;
/// Steps or clusters of one answer: fewer than EMR gives, so that paging is met.
const PAGE: usize = 4;

/// Why EMR refuses.
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// What becomes of steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// Whether a look at a cluster's steps moves them on.
    pub(crate) runs: bool,
    /// Steps whose names end so fail.
    pub(crate) fails: Vec<&'static str>,
    /// When a step whose name ends so begins, the cluster ends by itself.
    pub(crate) ends_at: Option<&'static str>,
    /// So many lists do not show yet what was submitted last.
    pub(crate) lists_lag: u32,
}

/// A cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    /// The request that made it.
    pub(crate) request: Value,
    pub(crate) state: &'static str,
    reason: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Lists that do not show the last so many steps, or the cluster, yet.
    lag: u32,
    n_lagging: usize,
}

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    on_failure: String,
    pub(crate) state: &'static str,
    started: Option<i64>,
    ended: Option<i64>,
}

/// All clusters.
#[derive(Default)]
pub(crate) struct Clusters {
    pub(crate) all: Vec<Cluster>,
    pub(crate) script: Script,
    n_steps: usize,
    clock: i64,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

/// The answer's part from the marker on, and the next marker.
fn page(all: Vec<Value>, asked: &Value) -> (Vec<Value>, Option<String>) {
    let start = text(asked, "Marker").parse().unwrap_or(0);
    let n_all = all.len();
    let part: Vec<Value> = all.into_iter().skip(start).take(PAGE).collect();
    let next = start + part.len();
    (part, (next < n_all).then(|| next.to_string()))
}

impl Clusters {
    /// Makes a cluster without checks.
    pub(crate) fn add(&mut self, request: Value) -> String {
        let id = format!("j-{:013}", self.all.len() + 1);
        self.all.push(Cluster {
            id: id.clone(),
            request,
            state: "WAITING",
            reason: "",
            steps: Vec::new(),
            lag: 0,
            n_lagging: 0,
        });
        id
    }

    /// The cluster of this id.
    #[track_caller]
    pub(crate) fn cluster(&mut self, id: &str) -> &mut Cluster {
        self.all.iter_mut().find(|cluster| cluster.id == id).unwrap()
    }

    pub(super) fn call(&mut self, operation: &str, asked: &Value) -> Result<Value, Refusal> {
        self.clock += 1;
        match operation {
            "RunJobFlow" => self.run_job_flow(asked),
            "AddJobFlowSteps" => self.add_job_flow_steps(asked),
            "DescribeCluster" => self.describe_cluster(asked),
            "DescribeStep" => self.describe_step(asked),
            "ListClusters" => Ok(self.list_clusters(asked)),
            "ListSteps" => self.list_steps(asked),
            "CancelSteps" => self.cancel_steps(asked),
            "TerminateJobFlows" => self.terminate(asked),
            _ => refuse("UnknownOperationException", operation),
        }
    }

    fn found(&mut self, id: &str) -> Result<&mut Cluster, Refusal> {
        match self.all.iter_mut().find(|cluster| cluster.id == id) {
            Some(cluster) => Ok(cluster),
            None => refuse("InvalidRequestException", format!("Cluster id '{id}' is not valid.")),
        }
    }

    fn steps_of(&mut self, steps: &Value) -> Result<Vec<Step>, Refusal> {
        let mut made = Vec::new();
        for step in steps.as_array().into_iter().flatten() {
            let jar = &step["HadoopJarStep"];
            let args: Vec<String> =
                jar["Args"].as_array().into_iter().flatten().map(|arg| arg.as_str().unwrap().to_owned()).collect();
            if args.iter().map(|arg| arg.chars().count()).sum::<usize>() > MAX_ARGUMENTS {
                return refuse("ValidationException", "The length of all arguments in HadoopJarStep exceeds 10240");
            }
            if text(step, "Name").is_empty() || text(jar, "Jar").is_empty() {
                return refuse("ValidationException", "a step needs Name and HadoopJarStep.Jar");
            }
            self.n_steps += 1;
            made.push(Step {
                id: format!("s-{:013}", self.n_steps),
                name: text(step, "Name").to_owned(),
                args,
                on_failure: text(step, "ActionOnFailure").to_owned(),
                state: "PENDING",
                started: None,
                ended: None,
            });
        }
        Ok(made)
    }

    fn run_job_flow(&mut self, asked: &Value) -> Result<Value, Refusal> {
        for key in ["Name", "ReleaseLabel", "ServiceRole", "JobFlowRole"] {
            if text(asked, key).is_empty() {
                return refuse("ValidationException", format!("{key} is missing"));
            }
        }
        let steps = self.steps_of(&asked["Steps"])?;
        let concurrent = asked["StepConcurrencyLevel"].as_u64().unwrap_or(1) > 1;
        if concurrent && steps.iter().any(|step| step.on_failure != "CONTINUE") {
            return refuse("ValidationException", "step concurrency above 1 allows only CONTINUE");
        }
        if steps.len() > MAX_ACTIVE {
            return refuse("ValidationException", "Maximum number of active steps exceeded");
        }
        let id = self.add(asked.clone());
        let lag = self.script.lists_lag;
        let cluster = self.cluster(&id);
        cluster.state = "STARTING";
        (cluster.n_lagging, cluster.lag) = (steps.len(), lag);
        cluster.steps = steps;
        Ok(json!({"JobFlowId": id, "ClusterArn": format!("arn:aws:elasticmapreduce:::cluster/{id}")}))
    }

    fn add_job_flow_steps(&mut self, asked: &Value) -> Result<Value, Refusal> {
        let steps = self.steps_of(&asked["Steps"])?;
        let ids: Vec<String> = steps.iter().map(|step| step.id.clone()).collect();
        let lag = self.script.lists_lag;
        let cluster = self.found(text(asked, "JobFlowId"))?;
        if cluster.state.starts_with("TERMINAT") {
            return refuse(
                "ValidationException",
                "A job flow that is shutting down, terminated, or finished may not be modified.",
            );
        }
        let n_active = cluster.steps.iter().filter(|step| !step.is_final()).count();
        if n_active + steps.len() > MAX_ACTIVE {
            return refuse(
                "ValidationException",
                "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded.",
            );
        }
        (cluster.n_lagging, cluster.lag) = (steps.len(), lag);
        cluster.steps.extend(steps);
        Ok(json!({"StepIds": ids}))
    }

    fn describe_cluster(&mut self, asked: &Value) -> Result<Value, Refusal> {
        let cluster = self.found(text(asked, "ClusterId"))?;
        let mut described = json!({
            "Id": cluster.id,
            "Name": cluster.request["Name"],
            "Status": {"State": cluster.state, "StateChangeReason": {"Message": cluster.reason}},
            "StepConcurrencyLevel": cluster.request["StepConcurrencyLevel"],
            "Tags": cluster.request["Tags"],
        });
        if let Some(uri) = cluster.request["LogUri"].as_str() {
            described["LogUri"] = json!(uri.replacen("s3://", "s3n://", 1));
        }
        Ok(json!({"Cluster": described}))
    }

    fn describe_step(&mut self, asked: &Value) -> Result<Value, Refusal> {
        let cluster = self.found(text(asked, "ClusterId"))?;
        match cluster.steps.iter().find(|step| step.id == text(asked, "StepId")) {
            Some(step) => Ok(json!({"Step": step.described()})),
            None => refuse("InvalidRequestException", "Step id is not valid."),
        }
    }

    fn list_clusters(&mut self, asked: &Value) -> Value {
        let clusters = self.all.iter_mut().rev().filter_map(|cluster| {
            if cluster.lag > 0 && text(&cluster.request, "Name").starts_with("nightshelf/") {
                cluster.lag -= 1;
                return None;
            }
            Some(json!({"Id": cluster.id, "Name": cluster.request["Name"], "Status": {"State": cluster.state}}))
        });
        let (part, marker) = page(clusters.collect(), asked);
        json!({"Clusters": part, "Marker": marker})
    }

    fn list_steps(&mut self, asked: &Value) -> Result<Value, Refusal> {
        if self.script.runs && asked.get("Marker").is_none_or(Value::is_null) {
            let (script, clock) = (self.script.clone(), self.clock);
            self.found(text(asked, "ClusterId"))?.advance(&script, clock);
        }
        let cluster = self.found(text(asked, "ClusterId"))?;
        let mut hidden = 0;
        if cluster.lag > 0 {
            hidden = cluster.n_lagging;
            cluster.lag -= 1;
        }
        // Newest first, as EMR lists them.
        let steps: Vec<Value> = cluster.steps.iter().rev().skip(hidden).map(Step::described).collect();
        let (part, marker) = page(steps, asked);
        Ok(json!({"Steps": part, "Marker": marker}))
    }

    fn cancel_steps(&mut self, asked: &Value) -> Result<Value, Refusal> {
        let cluster = self.found(text(asked, "ClusterId"))?;
        let mut infos = Vec::new();
        for id in asked["StepIds"].as_array().into_iter().flatten() {
            let Some(step) = cluster.steps.iter_mut().find(|step| json!(step.id) == *id) else { continue };
            let info = match step.state {
                "PENDING" | "RUNNING" => {
                    step.state = "CANCELLED";
                    json!({"StepId": id, "Status": "SUBMITTED"})
                }
                _ => json!({"StepId": id, "Status": "FAILED", "Reason": "the step has ended"}),
            };
            infos.push(info);
        }
        Ok(json!({"CancelStepsInfoList": infos}))
    }

    fn terminate(&mut self, asked: &Value) -> Result<Value, Refusal> {
        for id in asked["JobFlowIds"].as_array().into_iter().flatten() {
            self.found(id.as_str().unwrap_or(""))?.end("TERMINATED", "Terminated by user request");
        }
        Ok(json!({}))
    }
}

impl Cluster {
    /// The names of its steps in order.
    pub(crate) fn step_names(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.name.as_str()).collect()
    }

    /// Ends the cluster and what it runs.
    pub(crate) fn end(&mut self, state: &'static str, reason: &'static str) {
        (self.state, self.reason) = (state, reason);
        for step in self.steps.iter_mut().filter(|step| !step.is_final()) {
            step.state = if step.state == "RUNNING" { "INTERRUPTED" } else { "CANCELLED" };
        }
    }

    /// One tick: what runs ends, what waits begins.
    fn advance(&mut self, script: &Script, clock: i64) {
        if self.state.starts_with("TERMINAT") {
            return;
        }
        self.state = "RUNNING";
        for at in 0..self.steps.len() {
            if self.steps[at].state != "RUNNING" {
                continue;
            }
            let fails = script.fails.iter().any(|end| self.steps[at].name.ends_with(end));
            self.steps[at].state = if fails { "FAILED" } else { "COMPLETED" };
            self.steps[at].ended = Some(clock);
            if fails && self.steps[at].on_failure == "TERMINATE_CLUSTER" {
                return self.end("TERMINATED_WITH_ERRORS", "Shut down as step failed");
            }
            if fails && self.steps[at].on_failure == "CANCEL_AND_WAIT" {
                for step in self.steps.iter_mut().filter(|step| step.state == "PENDING") {
                    step.state = "CANCELLED";
                }
            }
        }
        let at_once = self.request["StepConcurrencyLevel"].as_u64().unwrap_or(1) as usize;
        for step in self.steps.iter_mut().filter(|step| step.state == "PENDING").take(at_once) {
            (step.state, step.started) = ("RUNNING", Some(clock));
        }
        let begun = |end: &&str| self.steps.iter().any(|step| step.state == "RUNNING" && step.name.ends_with(*end));
        if script.ends_at.as_ref().is_some_and(begun) {
            return self.end("TERMINATED_WITH_ERRORS", "The master node was terminated");
        }
        if self.steps.iter().all(Step::is_final) {
            if self.request["Instances"]["KeepJobFlowAliveWhenNoSteps"] == json!(true) {
                self.state = "WAITING";
            } else {
                (self.state, self.reason) = ("TERMINATING", "Steps completed");
            }
        }
    }
}

impl Step {
    fn is_final(&self) -> bool {
        !matches!(self.state, "PENDING" | "RUNNING" | "CANCEL_PENDING")
    }

    fn described(&self) -> Value {
        let mut status = json!({
            "State": self.state,
            "Timeline": {"CreationDateTime": 0.0, "StartDateTime": self.started, "EndDateTime": self.ended},
        });
        if self.state == "FAILED" {
            status["FailureDetails"] = json!({"Reason": "Unknown Error.", "Message": "exitCode 1"});
        }
        json!({
            "Id": self.id,
            "Name": self.name,
            "ActionOnFailure": self.on_failure,
            "Config": {"Jar": "command-runner.jar", "Args": self.args},
            "Status": status,
        })
    }
}
