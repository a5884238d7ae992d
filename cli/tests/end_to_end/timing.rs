//! `wan bench kernels`: rows whose figures fit together.

use serde_json::Value;

use crate::bench::Bench;

fn lines(args: &[&str]) -> Vec<Value> {
    let ended = Bench::new().wan(&[&["bench", "kernels", "--device", "cpu", "--json"], args].concat()).good();
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn figure(row: &Value, name: &str) -> f64 {
    let value = row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
    assert!(value.is_finite() && value > 0.0, "{name} in {row}");
    value
}

#[test]
fn rows_say_what_was_timed_and_beside_what() {
    let lines = lines(&["--only", "guidance", "--seconds", "0.05"]);
    let [heading, peak, row] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&heading["device"], &heading["version"]), (&"cpu".into(), &env!("CARGO_PKG_VERSION").into()));
    let memory = figure(peak, "memory_gigabytes_per_second");
    figure(peak, "matmul_gflop_per_second");
    assert_eq!((&row["operation"], &row["dtype"]), (&"guidance_step".into(), &"f32".into()));
    let (seconds, rate) = (figure(row, "median_seconds"), figure(row, "gigabytes_per_second"));
    let bytes = 4.0 * 4.0 * (16 * 21 * 60 * 104) as f64;
    assert!((rate * seconds * 1e9 / bytes - 1.0).abs() < 1e-6, "{row}");
    assert!((figure(row, "share_of_peak") * memory / rate - 1.0).abs() < 1e-6, "{row}");
    let faster = figure(row, "reference_seconds") / seconds;
    assert!((figure(row, "faster_than_reference") / faster - 1.0).abs() < 1e-6, "{row}");
    assert!(row["gflop_per_second"].is_null(), "it only moves memory: {row}");
}

#[test]
fn sizes_that_take_too_long_are_left_out_and_told() {
    let lines = lines(&["--only", "rope_attention", "--seconds", "0.0001"]);
    assert_eq!(lines.len(), 2 + 2 * 6, "every size has its line");
    for line in &lines[2..] {
        assert!(line["left_out"].as_str().unwrap().starts_with("a call would take about"), "{line}");
    }
}

#[test]
fn an_unknown_benchmark_is_refused() {
    let ended = Bench::new().wan(&["bench", "everything"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}
