//! The program as a shell runs it.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// What the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program in directory `directory`, with nothing of this process's environment but the search path.
pub(crate) fn command(directory: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightshelf"));
    command.current_dir(directory).args(arguments).env_clear().stdin(Stdio::null());
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    command
}

/// Runs the program to its end.
pub(crate) fn nightshelf(directory: &Path, arguments: &[&str]) -> Ran {
    nightshelf_in(directory, arguments, &[])
}

/// Runs the program to its end with these variables.
pub(crate) fn nightshelf_in(directory: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Ran {
    let output = command(directory, arguments, environment).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts the program; what it prints is lost.
pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Child {
    command(directory, arguments, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Ran {
    /// Checks that it went well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that it went well, and reads what it printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok().stdout).unwrap()
    }
}

/// Text as the program's arguments want it.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
