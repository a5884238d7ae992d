//! Files that are small for what they ask: no reader holds more than ten times its input and 64 MB, or takes long.
#![allow(clippy::unwrap_used)]

use std::{
    fmt::Write as _,
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use testkit::counting;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const BOUND: usize = 64 << 20;
/// Some hundred times what the slowest of these files takes.
const SLOW: Duration = Duration::from_secs(30);

/// Reads a file of these bytes under that name. Whoever calls has the turn: what other tests make ready counts, too.
fn check<T>(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let start = Instant::now();
    let (result, held) = counting::most_held(|| read(&path));
    assert!(start.elapsed() < SLOW, "{name}: {:?}", start.elapsed());
    assert!(held <= 10 * bytes.len() + BOUND, "{name}: {held} bytes held for {}", bytes.len());
    result
}

fn torch(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("a/data.pkl", options).unwrap();
    zip.write_all(pickle).unwrap();
    zip.finish().unwrap().into_inner()
}

/// `text` as a pickle pushes it.
fn pushed(text: &[u8]) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text].concat()
}

#[test]
fn a_long_name_in_a_pickle_is_not_looked_at_again_and_again() {
    let _turn = counting::alone();
    let long = vec![b'k'; 1 << 20];
    // A storage's id, whose key is the long text, kept as 1.
    let id = [
        b"\x80\x02(",
        &*pushed(b"storage"),
        b"ctorch\nFloatStorage\n",
        &*pushed(&long),
        &*pushed(b"cpu"),
        b"K\x04tq\x010",
    ];
    let again = b"h\x01Q0".repeat(100_000);
    let error =
        check("keys.pth", &torch(&[&id.concat(), &again, b"N.".as_slice()].concat()), wan_import::open);
    assert!(error.is_err());
    // A class, whose name is the long text, by the opcode that takes both names from the stack.
    let class = [&long, b"Storage".as_slice()].concat();
    let names = [b"\x80\x04", &*pushed(b"torch"), b"q\x000", &*pushed(&class), b"q\x010"].concat();
    let again = b"h\x00h\x01\x930".repeat(100_000);
    assert!(
        check("names.pth", &torch(&[&names, &again, b"N.".as_slice()].concat()), wan_import::open).is_err()
    );
}

#[test]
fn a_pickle_of_the_shortest_objects_is_refused_in_time() {
    let _turn = counting::alone();
    for opcodes in [b")".as_slice(), b"]", b"}", b"(", b"N", b"K\x01\x85", b")q\x00"] {
        let pickle = [b"\x80\x02", &*opcodes.repeat((3 << 20) / opcodes.len()), b"."].concat();
        assert!(check("small.pth", &torch(&pickle), wan_import::open).is_err(), "{opcodes:?}");
    }
    let tuples = [b"(".as_slice(), &b"N2".repeat(50_000), b"t"].concat().repeat(30);
    assert!(check("tuples.pth", &torch(&[b"\x80\x02", &*tuples, b"."].concat()), wan_import::open).is_err());
}

#[test]
fn numbers_that_nobody_asks_for_are_not_kept() {
    let _turn = counting::alone();
    let many = "0,".repeat(7 << 20) + "0";
    let index = format!(r#"{{"weight_map":{{}},"x":[{many}]}}"#);
    assert!(check("x.safetensors.index.json", index.as_bytes(), wan_import::open).is_ok());
    let cameras = format!(r#"{{"poses":[],"intrinsics":[],"x":[{many}]}}"#);
    assert!(check("cameras.json", cameras.as_bytes(), wan_import::read_camera).is_err());
    let package = format!(r#"{{"version":1,"layout":"official","quant":null,"files":[],"x":[{many}]}}"#);
    let verify = |path: &Path| {
        wan_import::verify_package(path.parent().unwrap(), &mut |_, _| std::ops::ControlFlow::Continue(()))
    };
    assert!(check("wan_package.json", package.as_bytes(), verify).is_ok());
}

#[test]
fn headers_of_many_tensors_take_a_few_times_their_length() {
    let _turn = counting::alone();
    let mut header = "{".to_owned();
    for i in 0..200_000 {
        let comma = if i > 0 { "," } else { "" };
        write!(header, r#"{comma}"{i:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#).unwrap();
    }
    header.push('}');
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    assert!(check("many.safetensors", &file, wan_import::open).is_ok());
    let shape = "1,".repeat(10 << 20) + "1";
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,1]}}}}"#);
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), b"0"].concat();
    assert!(check("long.safetensors", &file, wan_import::open).is_ok());
}
