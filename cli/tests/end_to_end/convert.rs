//! `wan convert` and what it leaves.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::bench::{Bench, Ended};

fn files(bench: &Bench, folder: &str) -> Vec<(String, Vec<u8>)> {
    let names = ["transformer", "text_encoder", "vae"].map(|part| bench.path(folder).join(part));
    let entries = names.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_package_makes_the_film_of_its_model() {
    let bench = Bench::new();
    for layout in ["diffusers", "official"] {
        let model = bench.copy(layout);
        let package = format!("{layout}.package");
        let ended = bench.wan(&["convert", &model, "-o", &package, "--quant", "int8", "--json"]).good();
        let told: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert!(told["bytes"].as_u64().unwrap() > 1000 && told["output"] == package.as_str(), "{told}");
        assert!(
            ended.stderr.contains("MB/s, ETA") && ended.stderr.contains(" GB became "),
            "{}",
            ended.stderr
        );
        let [made, own] = [package.as_str(), layout].map(|model| {
            let output = format!("{model}.gif");
            bench.generate(&[("--model", model), ("--output", &output)], &["-q", "--no-metadata"]).good();
            fs::read(bench.path(&output)).unwrap()
        });
        assert!(made == own, "{layout}: layers this narrow stay as they are, and so does the film");
        let inspected = bench.wan(&["inspect", &package, "--verify", "--json"]).good();
        let model: Value = serde_json::from_str(&inspected.stdout).unwrap();
        assert_eq!(model["layout"], layout);
    }
    let weights = bench.path("diffusers.package/vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    bench
        .wan(&["inspect", "diffusers.package", "--verify"])
        .refused("the checksum is not", "convert the model again");
    bench.wan(&["inspect", "diffusers", "--verify"]).refused("not a package", "");
}

/// A limit on the size of files stands in for a full disk: the same failing writes.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_is_gone_on_from() {
    let bench = Bench::new();
    let model = bench.copy("diffusers");
    let args = ["convert", &model, "-o", "package", "--quant", "int8"];
    let wan = bench.command(&args);
    let mut shell = std::process::Command::new("sh");
    // A process that ignores the signal gets an error from the write instead.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 500; exec \"$0\" \"$@\""]);
    shell.arg(wan.get_program()).args(wan.get_args()).current_dir(wan.get_current_dir().unwrap());
    let ended = Ended::of(shell);
    ended
        .refused("vae/diffusion_pytorch_model.safetensors", "free some space and run the same command again");
    let left = fs::read_dir(bench.path("package/vae")).unwrap().count();
    assert_eq!(left, 0, "{}", ended.stderr);
    bench
        .generate(&[("--model", "package")], &[])
        .refused("unfinished package", "run the same `wan convert` again");
    let again = bench.wan(&args).good();
    assert!(again.stderr.contains("kept from before"), "{}", again.stderr);
    assert_eq!(again.stdout, "package\n");
    bench.wan(&["convert", &model, "-o", "other", "--quant", "int8"]).good();
    assert!(files(&bench, "package") == files(&bench, "other"));
    bench.wan(&args).refused("a package already", "another folder");
}

/// Whenever the end comes, the next run completes what is there.
#[test]
fn a_killed_run_is_gone_on_from() {
    let bench = Bench::new();
    let model = bench.copy("diffusers");
    bench.wan(&["convert", &model, "-o", "whole", "--quant", "int8"]).good();
    let args = ["convert", &model, "-o", "package", "--quant", "int8"];
    let mut child = bench.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("transformer/")));
    child.kill().unwrap();
    child.wait().unwrap();
    if !bench.path("package/wan_package.json").exists() {
        bench.wan(&["inspect", "package"]).refused("unfinished package", "run the same `wan convert` again");
        let again = bench.wan(&args).good();
        assert!(again.stderr.contains("kept from before"), "{}", again.stderr);
    }
    assert!(files(&bench, "package") == files(&bench, "whole"));
    bench.wan(&["inspect", "package", "--verify"]).good();
}
