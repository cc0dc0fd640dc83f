//! The requests that make a submission, as EMR's API spells them. What `--dry-run` prints is what is sent.

use serde_json::{Map, Value, json};

use super::{
    ClusterError,
    config::{Capacity, CreateConfig, GroupConfig},
    steps::PlannedStep,
};

/// The most characters of arguments that a step may have.
const MAX_ARGUMENTS: usize = 10_240;

/// A request: the API's operation and its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `RunJobFlow` or `AddJobFlowSteps`.
    pub operation: &'static str,
    /// The body.
    pub body: Value,
}

/// Tags of a cluster, in order.
pub type Tags = std::collections::BTreeMap<String, String>;

/// Tag without which the managed policy of the service's role lets EMR touch nothing.
const MANAGED_TAG: &str = "for-use-with-amazon-emr-managed-policies";
/// Tag that names the run.
pub(super) const RUN_TAG: &str = "nightshelf-run";

/// What becomes of the steps behind one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// The cluster is the run's own and ends with it.
    TerminateCluster,
    /// They run, and fail for want of what they need; steps of others stay untouched.
    Continue,
}

fn step(name: &str, args: &[String], on_failure: OnFailure) -> Result<Value, ClusterError> {
    let length: usize = args.iter().map(|arg| arg.chars().count()).sum();
    if length > MAX_ARGUMENTS {
        return Err(ClusterError::TooLong { step: name.to_owned(), length, limit: MAX_ARGUMENTS });
    }
    let action = match on_failure {
        OnFailure::TerminateCluster => "TERMINATE_CLUSTER",
        OnFailure::Continue => "CONTINUE",
    };
    Ok(json!({
        "Name": name,
        "ActionOnFailure": action,
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": args},
    }))
}

fn steps(named: &[(String, PlannedStep)], on_failure: OnFailure) -> Result<Vec<Value>, ClusterError> {
    named.iter().map(|(name, planned)| step(name, &planned.args, on_failure)).collect()
}

/// AddJobFlowSteps: the steps behind those of a running cluster.
///
/// # Errors
/// A step whose arguments are longer than EMR takes.
pub fn add_job_flow_steps(cluster: &str, named: &[(String, PlannedStep)]) -> Result<Request, ClusterError> {
    let body = json!({"JobFlowId": cluster, "Steps": steps(named, OnFailure::Continue)?});
    Ok(Request { operation: "AddJobFlowSteps", body })
}

/// RunJobFlow: a new cluster with the steps.
///
/// # Errors
/// A step whose arguments are longer than EMR takes; no subnet.
pub fn run_job_flow(
    name: &str,
    run: &str,
    create: &CreateConfig,
    named: &[(String, PlannedStep)],
) -> Result<Request, ClusterError> {
    let on_failure = match create.keep_alive || create.step_concurrency > 1 {
        true => OnFailure::Continue,
        false => OnFailure::TerminateCluster,
    };
    let mut tags = create.tags.clone();
    tags.insert(MANAGED_TAG.into(), "true".into());
    tags.insert(RUN_TAG.into(), run.into());
    let mut body = json!({
        "Name": name,
        "ReleaseLabel": create.release_label,
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": create.service_role,
        "JobFlowRole": create.instance_profile,
        "VisibleToAllUsers": true,
        "StepConcurrencyLevel": create.step_concurrency,
        // YARN counts memory only, unless it is told to count cores, too.
        "Configurations": [{
            "Classification": "capacity-scheduler",
            "Properties": {
                "yarn.scheduler.capacity.resource-calculator":
                    "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator",
            },
        }],
        "Instances": instances(create),
        "Steps": steps(named, on_failure)?,
        "Tags": tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>(),
    });
    if let Some(uri) = &create.log_uri {
        body["LogUri"] = json!(uri);
    }
    if create.keep_alive && create.idle_timeout_s > 0 {
        body["AutoTerminationPolicy"] = json!({"IdleTimeout": create.idle_timeout_s});
    }
    if !create.bootstrap.is_empty() {
        let actions = create.bootstrap.iter().map(
            |script| json!({"Name": script.name, "ScriptBootstrapAction": {"Path": script.path, "Args": script.args}}),
        );
        body["BootstrapActions"] = actions.collect();
    }
    let scaling = &create.managed_scaling;
    if scaling.min > 0 {
        let unit = if create.fleets { "InstanceFleetUnits" } else { "Instances" };
        let mut limits =
            json!({"UnitType": unit, "MinimumCapacityUnits": scaling.min, "MaximumCapacityUnits": scaling.max});
        if scaling.max_on_demand > 0 {
            limits["MaximumOnDemandCapacityUnits"] = json!(scaling.max_on_demand);
        }
        if scaling.max_core > 0 {
            limits["MaximumCoreCapacityUnits"] = json!(scaling.max_core);
        }
        body["ManagedScalingPolicy"] = json!({"ComputeLimits": limits});
    }
    lay_over(&mut body, &create.request);
    Ok(Request { operation: "RunJobFlow", body })
}

fn instances(create: &CreateConfig) -> Value {
    let mut instances = json!({
        "KeepJobFlowAliveWhenNoSteps": create.keep_alive,
        "TerminationProtected": false,
    });
    let groups = [("MASTER", &create.primary), ("CORE", &create.core), ("TASK", &create.task)];
    let used = groups.into_iter().filter(|(_, group)| group.capacity() != Capacity::Empty);
    if create.fleets {
        if !create.subnets.is_empty() {
            instances["Ec2SubnetIds"] = json!(create.subnets);
        }
        instances["InstanceFleets"] = used.map(|(role, group)| fleet(role, group)).collect();
    } else {
        if let Some(subnet) = create.subnets.first() {
            instances["Ec2SubnetId"] = json!(subnet);
        }
        instances["InstanceGroups"] = used.map(|(role, group)| instance_group(role, group)).collect();
    }
    instances
}

fn instance_group(role: &str, group: &GroupConfig) -> Value {
    let (market, count) = match group.capacity() {
        Capacity::Spot(spot) => ("SPOT", spot),
        Capacity::Empty | Capacity::OnDemand(_) | Capacity::Mixed { .. } => ("ON_DEMAND", group.on_demand),
    };
    json!({
        "Name": role.to_lowercase(),
        "InstanceRole": role,
        "Market": market,
        "InstanceType": group.instance_types.first(),
        "InstanceCount": count,
    })
}

fn fleet(role: &str, group: &GroupConfig) -> Value {
    let types = group.instance_types.iter().map(|name| {
        // Each counts for one node, whatever its size: capacities are then numbers of nodes.
        let mut of_type = json!({"InstanceType": name, "WeightedCapacity": 1});
        if group.spot_bid_percent > 0.0 {
            of_type["BidPriceAsPercentageOfOnDemandPrice"] = json!(group.spot_bid_percent);
        }
        of_type
    });
    let mut fleet = json!({
        "Name": role.to_lowercase(),
        "InstanceFleetType": role,
        "TargetOnDemandCapacity": group.on_demand,
        "TargetSpotCapacity": group.spot,
        "InstanceTypeConfigs": types.collect::<Vec<_>>(),
    });
    if group.spot > 0 {
        let minutes = if group.spot_timeout_minutes == 0 { 15 } else { group.spot_timeout_minutes };
        fleet["LaunchSpecifications"] = json!({"SpotSpecification": {
            "TimeoutDurationMinutes": minutes,
            "TimeoutAction": "SWITCH_TO_ON_DEMAND",
            "AllocationStrategy": "price-capacity-optimized",
        }});
    }
    fleet
}

/// Lays `over` over `under`: objects are merged, everything else is replaced.
fn lay_over(under: &mut Value, over: &Map<String, Value>) {
    for (key, value) in over {
        match (&mut under[key.as_str()], value) {
            (place @ Value::Object(_), Value::Object(value)) => lay_over(place, value),
            (place, value) => *place = value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(args: &[&str]) -> Vec<(String, PlannedStep)> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        vec![(
            "nightshelf/n/1/01-plan".to_owned(),
            PlannedStep { name: "plan".into(), args, counts: None, n_tasks: None },
        )]
    }

    #[test]
    fn steps_on_a_shared_cluster_cancel_nothing_of_others() {
        let request = add_job_flow_steps("j-1", &planned(&["bash", "-c", "true"])).unwrap();
        let expected = json!({"JobFlowId": "j-1", "Steps": [{
            "Name": "nightshelf/n/1/01-plan",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", "true"]},
        }]});
        assert_eq!(request.body, expected);
    }

    #[test]
    fn arguments_are_counted_in_characters() {
        let long = "ä".repeat(MAX_ARGUMENTS);
        assert!(add_job_flow_steps("j-1", &planned(&[&long])).is_ok());
        let error = add_job_flow_steps("j-1", &planned(&[&long, "x"])).unwrap_err();
        assert!(matches!(error, ClusterError::TooLong { length: 10_241, .. }), "{error}");
    }

    #[test]
    fn a_cluster_of_groups_ends_with_its_run() {
        let create = CreateConfig { subnets: vec!["subnet-1".into()], ..CreateConfig::default() };
        let body = run_job_flow("nightshelf/n/1", "n", &create, &planned(&["a"])).unwrap().body;
        assert_eq!(body["Steps"][0]["ActionOnFailure"], "TERMINATE_CLUSTER");
        assert_eq!(body["Instances"]["KeepJobFlowAliveWhenNoSteps"], false);
        assert_eq!(body["Instances"]["Ec2SubnetId"], "subnet-1");
        let groups = body["Instances"]["InstanceGroups"].as_array().unwrap();
        assert_eq!(groups.len(), 2, "no group without nodes: {groups:?}");
        assert_eq!(groups[0]["InstanceRole"], "MASTER");
        assert_eq!(groups[1]["InstanceCount"], 4);
        assert!(body["Tags"].as_array().unwrap().contains(&json!({"Key": RUN_TAG, "Value": "n"})));
        assert!(body["Tags"].as_array().unwrap().contains(&json!({"Key": MANAGED_TAG, "Value": "true"})));
        assert_eq!(body.get("ManagedScalingPolicy"), None);
    }

    #[test]
    fn fleets_mix_types_and_markets() {
        let create = CreateConfig {
            fleets: true,
            keep_alive: true,
            subnets: vec!["subnet-1".into(), "subnet-2".into()],
            task: GroupConfig {
                instance_types: vec!["m6i.2xlarge".into(), "m5.2xlarge".into()],
                on_demand: 1,
                spot: 9,
                spot_bid_percent: 60.0,
                spot_timeout_minutes: 20,
            },
            ..CreateConfig::default()
        };
        let body = run_job_flow("nightshelf/n/1", "n", &create, &planned(&["a"])).unwrap().body;
        let task = &body["Instances"]["InstanceFleets"][2];
        assert_eq!(task["TargetSpotCapacity"], 9);
        assert_eq!(task["InstanceTypeConfigs"][1]["BidPriceAsPercentageOfOnDemandPrice"], 60.0);
        assert_eq!(task["LaunchSpecifications"]["SpotSpecification"]["TimeoutDurationMinutes"], 20);
        assert_eq!(body["Instances"]["Ec2SubnetIds"], json!(["subnet-1", "subnet-2"]));
        assert_eq!(body["Steps"][0]["ActionOnFailure"], "CONTINUE");
        assert_eq!(body["AutoTerminationPolicy"]["IdleTimeout"], 3_600);
    }

    #[test]
    fn own_parts_of_the_request_are_laid_over() {
        let over = json!({"SecurityConfiguration": "s", "Instances": {"Ec2KeyName": "k"}, "Applications": []});
        let create = CreateConfig { request: over.as_object().unwrap().clone(), ..CreateConfig::default() };
        let body = run_job_flow("nightshelf/n/1", "n", &create, &planned(&["a"])).unwrap().body;
        assert_eq!(body["SecurityConfiguration"], "s");
        assert_eq!(body["Instances"]["Ec2KeyName"], "k");
        assert_eq!(body["Instances"]["TerminationProtected"], false);
        assert_eq!(body["Applications"], json!([]));
    }
}
