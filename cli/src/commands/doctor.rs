//! `wan doctor`: every kernel of a device against its reference.

use serde_json::{Value, json};

use super::{print, print_json};
use crate::{
    CancelToken, Failure, Kind,
    args::DoctorArgs,
    crash,
    devices::{Target, resolve_all},
    engine::kernels::{About, Depth, Examined, Examining, Limits, Row, examine, sizes},
    interrupt,
    progress::Progress,
};

/// Checks the devices that the flags name and prints what it finds, one line a check as it ends.
pub fn run(args: &DoctorArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let mut progress = Progress::new(quiet);
    let mut results = Vec::new();
    for target in resolve_all(args.device)? {
        // A device that cannot even be opened must not hide the others.
        let result = crash::guard(|| diagnose(&target, args, &cancel, &mut progress));
        progress.clear();
        match result {
            Err(failure) if failure.kind == Kind::Interrupted => return Err(failure),
            result => results.push((target.describe(), result)),
        }
    }
    if args.json {
        print_json(&report(args, &results))?;
    }
    verdict(args, &results)
}

/// A device's name and what came of it.
type Outcome = (String, Result<Examined, Failure>);

fn diagnose(
    target: &Target,
    args: &DoctorArgs,
    cancel: &CancelToken,
    progress: &mut Progress,
) -> Result<Examined, Failure> {
    let depth = if args.short { Depth::Short } else { Depth::Full };
    let mut written = Ok(());
    let mut say = |progress: &Progress, text: &str| {
        if !args.json && written.is_ok() {
            written = progress.aside(|| print(text));
        }
    };
    let examined = examine(target, depth, cancel, &mut |event| match event {
        Examining::Device(about) => say(progress, &heading(about)),
        Examining::Next { index, total, what } => progress.check(index, total, &what),
        Examining::Done(row) => say(progress, &line(row)),
    })?;
    written.map(|()| examined)
}

fn heading(about: &About) -> String {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let limits = about.limits.as_ref().map(limits).unwrap_or_default();
    let abilities = format!("f16 {}, bf16 {}", yes(about.f16), yes(about.bf16));
    format!("{} ({}; {})\n  {limits}{abilities}", about.device, about.driver, about.runtime)
}

fn limits(limits: &Limits) -> String {
    let tiles = match limits.matrix_tiles.as_slice() {
        [] => "none".to_owned(),
        tiles => tiles.join(", "),
    };
    format!(
        "binding {} MiB, workgroup memory {} KiB, {} invocations, planes of {} to {}\n  matrix tiles {tiles}\n  ",
        limits.max_storage_binding_bytes >> 20,
        limits.workgroup_memory_bytes >> 10,
        limits.invocations_per_workgroup,
        limits.plane_size.0,
        limits.plane_size.1,
    )
}

fn line(row: &Row) -> String {
    let milliseconds =
        |seconds: Option<f64>| seconds.map_or("-".to_owned(), |s| format!("{:.2} ms", s * 1e3));
    let reference = row.reference_seconds.map(|seconds| {
        let rows = match row.compared_rows < row.rows {
            true => format!(" for {} of {} rows", row.compared_rows, row.rows),
            false => String::new(),
        };
        format!(", reference {}{rows}", milliseconds(Some(seconds)))
    });
    let cause = row.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let reason = row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "  {:16} {:5} {:19} {}  {}{cause}: max {:.1e}, relative {:.1e}, {}{}  {}{reason}",
        row.operation,
        row.size,
        sizes(&row.shape),
        row.dtype,
        row.road,
        row.max_absolute_error,
        row.relative_l2_error,
        milliseconds(row.seconds),
        reference.unwrap_or_default(),
        row.verdict,
    )
}

fn report(args: &DoctorArgs, results: &[Outcome]) -> Value {
    let devices = results.iter().map(|(device, result)| match result {
        Ok(examined) => json!(examined),
        Err(failure) => json!({ "device": device, "error": failure.message }),
    });
    let depth = if args.short { "short" } else { "full" };
    let passed = results.iter().all(|(_, result)| result.as_ref().is_ok_and(sound));
    json!({ "passed": passed, "depth": depth, "devices": devices.collect::<Vec<_>>() })
}

fn sound(examined: &Examined) -> bool {
    examined.failed.is_empty() && examined.broken.is_empty()
}

/// The last line for people, or the failure that ends the command with exit code 1.
fn verdict(args: &DoctorArgs, results: &[Outcome]) -> Result<(), Failure> {
    let faults: Vec<_> = results.iter().filter_map(|(device, result)| fault(device, result)).collect();
    let Some((_, hint)) = faults.first() else {
        let lines = results.iter().filter_map(|(device, result)| {
            let examined = result.as_ref().ok()?;
            Some(format!(
                "{device}: all {} checks passed in {:.1} s",
                examined.checks.len(),
                examined.seconds
            ))
        });
        let lines: Vec<_> = lines.collect();
        return if args.json { Ok(()) } else { print(&lines.join("\n")) };
    };
    let message = faults.iter().map(|(message, _)| message.as_str()).collect::<Vec<_>>().join("; ");
    Err(Failure { kind: Kind::Failed, message, hint: Some((*hint).to_owned()) })
}

/// What is wrong with a device, and what helps.
fn fault(device: &str, result: &Result<Examined, Failure>) -> Option<(String, &'static str)> {
    const BROKEN: &str = "update the driver, or use --device cpu";
    const FAILED: &str = "`generate` runs these without their own kernels, as WAN_KERNELS=reference does for all; an \
                          update of the driver may help";
    let names = |findings: &[crate::verdicts::Finding]| {
        findings.iter().map(|finding| finding.operation.as_str()).collect::<Vec<_>>().join(", ")
    };
    match result {
        Err(failure) => Some((format!("{device}: {}", failure.message), BROKEN)),
        Ok(examined) if !examined.broken.is_empty() => {
            let names = names(&examined.broken);
            Some((format!("{device}: plain tensor operations are wrong ({names})"), BROKEN))
        }
        Ok(examined) if !examined.failed.is_empty() => {
            Some((format!("{device}: kernels that fail: {}", names(&examined.failed)), FAILED))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdicts::Finding;

    fn examined(failed: &[&str], broken: &[&str]) -> Result<Examined, Failure> {
        let findings = |names: &[&str]| {
            let finding =
                |name: &&str| Finding { operation: (*name).to_owned(), cause: "far off".to_owned() };
            names.iter().map(finding).collect()
        };
        let about = About {
            device: "a card".to_owned(),
            driver: "1.0".to_owned(),
            runtime: "wgpu<wgsl>".to_owned(),
            limits: None,
            f16: true,
            bf16: false,
        };
        Ok(Examined {
            about,
            seconds: 1.0,
            checks: Vec::new(),
            failed: findings(failed),
            broken: findings(broken),
        })
    }

    #[test]
    fn any_fault_fails_the_command_and_says_what_helps() {
        let args = DoctorArgs { device: "all".parse().expect("a choice"), short: true, json: true };
        let good = || ("cpu".to_owned(), examined(&[], &[]));
        assert!(verdict(&args, &[good()]).is_ok());
        let cases = [
            (
                examined(&["silu", "attention"], &[]),
                "kernels that fail: silu, attention",
                "WAN_KERNELS=reference",
            ),
            (
                examined(&["silu"], &["gelu_bias"]),
                "plain tensor operations are wrong (gelu_bias)",
                "--device cpu",
            ),
            (Err(Failure::failed("the device is lost")), "the device is lost", "update the driver"),
        ];
        for (result, message, hint) in cases {
            let results = [good(), ("a card".to_owned(), result)];
            assert_eq!(report(&args, &results)["passed"], false);
            let failure = verdict(&args, &results).expect_err(message);
            assert_eq!((failure.kind, failure.message), (Kind::Failed, format!("a card: {message}")));
            assert!(failure.hint.is_some_and(|text| text.contains(hint)), "{hint}");
        }
    }
}
