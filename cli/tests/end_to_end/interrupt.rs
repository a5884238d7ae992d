//! Ctrl-C while a film is made.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use wan_cli::engine::runs::FILE;

use crate::bench::{ABSENT, Bench};

/// Generous for a step of the tiny model and the end of a process, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run whose stderr is read line by line.
pub struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Reads up to the first line with `words`.
    pub fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "it ended without {words:?}");
        }
    }

    pub fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The exit status and the rest of stderr; kills what does not end.
    pub fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if start.elapsed() > PATIENCE => {
                    self.child.kill().unwrap();
                    panic!("it does not end");
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (status, rest)
    }
}

#[test]
fn the_first_interrupt_stops_after_the_step_and_leaves_nothing() {
    for output in ["x.mp4", "x.gif", "frames/", "x_%d.png"] {
        let bench = Bench::new();
        let flags = [("--steps", "1000"), ("--device", "ndarray"), ("--output", output)];
        let mut running = Running::start(bench.generation(&flags, &[]));
        running.wait_for("step 1/1000");
        assert!(!bench.left().is_empty(), "a temporary file is there meanwhile");
        running.interrupt();
        let (status, rest) = running.end();
        assert_eq!(status.code(), Some(130), "{rest}");
        assert!(rest.contains("stopping after this step"), "{rest}");
        let lines: Vec<_> = rest.lines().rev().take(2).collect();
        assert_eq!(lines[0], "hint: wan resume latest");
        assert!(lines[1].starts_with("error: interrupted; step ") && lines[1].ends_with(FILE), "{rest}");
        assert!(bench.left().is_empty(), "{:?}", bench.left());
    }
}

#[test]
fn an_examination_stops_after_the_check() {
    let bench = Bench::new();
    let mut running = Running::start(bench.command(&["doctor", "--device", "cpu"]));
    running.wait_for("check 3/");
    running.interrupt();
    let (status, rest) = running.end();
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(rest.ends_with("error: interrupted\n"), "{rest}");
}

#[test]
fn the_second_interrupt_does_not_wait_for_the_step() {
    let bench = Bench::new();
    // Steps long enough that the second signal comes within one.
    let flags = [("--steps", "1000"), ("--size", "640x480"), ("--frames", "33"), ("--noise", ABSENT)];
    let mut running = Running::start(bench.generation(&flags, &[]));
    running.wait_for("load");
    // Between the phases the first signal would end the run.
    std::thread::sleep(Duration::from_millis(500));
    assert!(!bench.left().is_empty(), "a temporary file is there meanwhile");
    running.interrupt();
    running.wait_for("interrupt again");
    running.interrupt();
    let (status, rest) = running.end();
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(!rest.contains("error:"), "it reached the end of the step: {rest}");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
}
