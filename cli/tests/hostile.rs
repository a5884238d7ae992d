//! Every reader of foreign bytes, with good files changed at random: none panics, none hangs, and none holds more than
//! ten times its input and a fixed bound.
//!
//! `WAN_FUZZ=1000000` runs so many changes of each instead of a few, `WAN_FUZZ_ONLY=NAME` those of one reader,
//! `WAN_FUZZ_SEED=N` others.
#![allow(clippy::unwrap_used)]

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::{
    collections::HashSet,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fuzz::{
    mutate::{Random, mutate},
    readers::{Place, READERS, Reader},
};
use testkit::counting;

/// Changes of each reader's files in an ordinary run of the tests.
const FEW: u64 = 3_000;
/// No input of at most 128 kB keeps a reader busy for so long.
const HANG: Duration = Duration::from_secs(20);
/// Inputs that said something new, and are changed further.
const MOST_KEPT: usize = 2_000;

/// When the reader at work began, in milliseconds of the process's life, and what it reads; 0 if none is at work.
static BEGAN: AtomicU64 = AtomicU64::new(0);
static INPUT: Mutex<(String, Vec<u8>)> = Mutex::new((String::new(), Vec::new()));

#[test]
fn no_reader_panics_hangs_or_fills_the_memory() {
    let _turn = counting::alone();
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (count, seed) = (number("WAN_FUZZ").unwrap_or(FEW), number("WAN_FUZZ_SEED").unwrap_or(1));
    let only = std::env::var("WAN_FUZZ_ONLY").ok();
    let start = Instant::now();
    thread::spawn(move || watch(start));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // What a reader says in a panic is in the fault's own line.
        if BEGAN.load(Ordering::Relaxed) == 0 {
            hook(info);
        }
    }));
    let chosen = READERS.iter().filter(|reader| only.as_ref().is_none_or(|name| name == reader.name));
    let mut faults = Vec::new();
    for reader in chosen {
        let began = Instant::now();
        let mut run = Run::new(reader, start, seed);
        faults.extend(run.run(count));
        report(&format!(
            "{}: {count} runs in {:.1} s, {} answers, at most {:.1} MB held",
            reader.name,
            began.elapsed().as_secs_f64(),
            run.seen.len(),
            run.most as f64 / 1e6
        ));
    }
    let _ = std::panic::take_hook();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_reader_is_a_target_of_cargo_fuzz() {
    // It counts what is held as well, and changes the hook of panics.
    let _turn = counting::alone();
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for Reader { name, .. } in &READERS {
        let target = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("run(\"{name}\", data)")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), READERS.len());
    fuzz::run("noise", b"{}");
    let corpus = fs::read_dir(fuzz.join("corpus")).unwrap();
    let bytes: u64 = corpus.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 200_000, "{bytes} bytes of corpus");
}

/// The process cannot go on from a reader that never ends.
fn watch(start: Instant) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let began = BEGAN.load(Ordering::Relaxed);
        let now = start.elapsed().as_millis() as u64;
        if began > 0 && now.saturating_sub(began) > HANG.as_millis() as u64 {
            let (name, input) = &*INPUT.lock().unwrap();
            report(&format!("{name}: no answer after {HANG:?}: {}", keep(name, input).display()));
            process::abort();
        }
    }
}

fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes an input that shows a fault; gives its path.
fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}-{:016x}", hash(input)));
    fs::write(&path, input).unwrap();
    path
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Memory is cheap to write to.
fn scratch() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}

struct Run<'a> {
    reader: &'a Reader,
    place: Place<'a>,
    _folder: tempfile::TempDir,
    start: Instant,
    random: Random,
    pool: Vec<Vec<u8>>,
    /// Answers, by their words without numbers and names.
    seen: HashSet<u64>,
    /// Most bytes held.
    most: usize,
}

impl<'a> Run<'a> {
    fn new(reader: &'a Reader, start: Instant, seed: u64) -> Self {
        let folder = scratch();
        let goldens = fuzz::goldens();
        let place = reader.place(&goldens, folder.path());
        let (random, pool) = (Random(seed), (reader.seeds)(&goldens));
        assert!(!pool.is_empty(), "{}: nothing to begin with", reader.name);
        Self { reader, place, _folder: folder, start, random, pool, seen: HashSet::new(), most: 0 }
    }

    /// Gives the faults that were found, the first few of them.
    fn run(&mut self, count: u64) -> Vec<String> {
        let mut faults = Vec::new();
        self.place.put(&(self.reader.wrap)(&self.pool[0]));
        let (said, name) = (self.place.read(), self.reader.name);
        assert!(said.contains(self.reader.says), "{name}: the first seed is not whole: {said}");
        for input in self.pool.clone() {
            faults.extend(self.one(input));
        }
        for _ in 0..count {
            let [one, two] = [(); 2].map(|()| self.random.below(self.pool.len()));
            let input = mutate(&mut self.random, &self.pool[one], &self.pool[two], self.reader.words);
            faults.extend(self.one(input));
            if faults.len() >= 5 {
                break;
            }
        }
        faults
    }

    /// Reads one input; a new answer makes it a seed.
    fn one(&mut self, input: Vec<u8>) -> Option<String> {
        let file = (self.reader.wrap)(&input);
        self.place.put(&file);
        let bound = self.reader.most(&file);
        *INPUT.lock().unwrap() = (self.reader.name.to_owned(), input);
        BEGAN.store(self.start.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        let (result, held) = counting::most_held(|| catch_unwind(AssertUnwindSafe(|| self.place.read())));
        BEGAN.store(0, Ordering::Relaxed);
        let input = std::mem::take(&mut INPUT.lock().unwrap().1);
        self.most = self.most.max(held);
        let fault = match &result {
            Err(_) => Some("a panic".to_owned()),
            Ok(_) if held > bound => Some(format!("{held} bytes held for {} bytes", file.len())),
            Ok(_) => None,
        };
        if let Some(fault) = fault {
            return Some(format!(
                "{}: {fault}: {}",
                self.reader.name,
                keep(self.reader.name, &input).display()
            ));
        }
        if self.seen.insert(hash(shape(&result.unwrap_or_default()))) && self.pool.len() < MOST_KEPT {
            self.pool.push(input);
        }
        None
    }
}

/// An answer without what differs from input to input.
fn shape(answer: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in answer.split(|c: char| !c.is_ascii_alphabetic()) {
        // A name from the file may be anything; the readers' own words are short.
        if !word.is_empty() && word.len() < 16 && words.len() < 40 {
            words.push(word);
        }
    }
    words.join(" ")
}
