//! `wan convert`: a checkpoint to a package.

use std::{fmt::Write, path::Path, time::Instant};

use serde_json::{Value, json};

use super::{print, print_json, pull};
use crate::{
    CancelToken, Failure,
    args::ConvertArgs,
    engine::convert::{Converted, Package, Request, WeightError, convert},
    interrupt,
    progress::Progress,
};

/// Writes a package and prints its folder, or what it came to.
pub fn run(args: &ConvertArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let mut progress = Progress::new(quiet);
    let model = pull::local(args.model.clone(), &mut progress, &cancel)?;
    let request = Request {
        model: &model,
        quant: args.quant,
        dtype: args.dtype,
        only: &args.only,
        report: args.report.is_some(),
    };
    let start = Instant::now();
    let mut pace = Pace { start, done: 0, total: 0, filed: 0, kept: 0 };
    let package = convert(&request, &args.output, &cancel, &mut |event| pace.show(event, &mut progress));
    progress.clear();
    let (package, seconds) = (package?, start.elapsed().as_secs_f64());
    progress.line(&summary(&package, seconds, pace.rate()));
    let errors = &package.made.errors;
    match &args.report {
        Some(path) if path.as_os_str() != "-" => write_report(path, errors)?,
        Some(_) if !args.json => print(table(errors).trim_end())?,
        _ => {}
    }
    match (args.json, &args.report) {
        (true, _) => print_json(&described(args, &package, seconds)),
        (false, Some(path)) if path.as_os_str() == "-" => Ok(()),
        _ => print(&args.output.display().to_string()),
    }
}

/// How fast the work goes.
struct Pace {
    start: Instant,
    /// Bytes of the source.
    done: u64,
    total: u64,
    /// Of `done`, in finished files.
    filed: u64,
    /// Of `done`, in files of an earlier run.
    kept: u64,
}

impl Pace {
    fn show(&mut self, event: Converted<'_>, progress: &mut Progress) {
        match event {
            Converted::Bytes { done, total } => {
                (self.done, self.total) = (done, total);
                progress.bytes("convert", done, total);
            }
            Converted::File { path, bytes, before } => {
                if before {
                    self.kept += self.done - self.filed;
                }
                self.filed = self.done;
                let rate = self.rate();
                let eta = (self.total - self.done.min(self.total)) as f64 / rate.max(1.0);
                let kept = if before { ", kept from before" } else { "" };
                let (megabytes, rate) = (bytes as f64 / 1e6, rate / 1e6);
                progress.part(&format!("{path} {megabytes:.1} MB{kept}; {rate:.0} MB/s, ETA {eta:.0} s"));
            }
        }
    }

    /// Bytes of the source in a second.
    fn rate(&self) -> f64 {
        (self.done - self.kept) as f64 / self.start.elapsed().as_secs_f64().max(1e-3)
    }
}

fn summary(package: &Package, seconds: f64, rate: f64) -> String {
    let [before, after] = [package.source_bytes, package.made.bytes].map(|bytes| bytes as f64 / 1e9);
    let rate = rate / 1e6;
    let error = mean(&package.made.errors).map(|mean| format!(", mean error {mean:.2e}")).unwrap_or_default();
    format!("{before:.3} GB became {after:.3} GB in {seconds:.1} s, {rate:.0} MB/s{error}")
}

fn mean(errors: &[WeightError]) -> Option<f64> {
    let sum: f64 = errors.iter().map(|weight| weight.error).sum();
    (!errors.is_empty()).then(|| sum / errors.len() as f64)
}

fn described(args: &ConvertArgs, package: &Package, seconds: f64) -> Value {
    let mut object = json!({
        "output": args.output,
        "source_bytes": package.source_bytes,
        "bytes": package.made.bytes,
        "seconds": seconds,
    });
    if args.report.is_some() {
        object["errors"] = report(&package.made.errors);
    }
    object
}

fn report(errors: &[WeightError]) -> Value {
    let weights = errors.iter().map(
        |weight| json!({ "component": weight.component, "key": weight.key, "relative_l2": weight.error }),
    );
    json!({ "mean": mean(errors), "weights": weights.collect::<Vec<_>>() })
}

fn table(errors: &[WeightError]) -> String {
    let mut text = String::new();
    for WeightError { component, key, error } in errors {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{error:.3e}  {component}/{key}");
    }
    if let Some(mean) = mean(errors) {
        let _ = writeln!(text, "{mean:.3e}  mean of {}", errors.len());
    }
    text
}

fn write_report(path: &Path, errors: &[WeightError]) -> Result<(), Failure> {
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let text = if json { format!("{:#}\n", report(errors)) } else { table(errors) };
    std::fs::write(path, text).map_err(|e| Failure::failed(format!("writing {}: {e}", path.display())))
}
