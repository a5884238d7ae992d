//! The PyTorch reader against files that PyTorch wrote, and against pickles and archives that nobody should run.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use proptest::prelude::*;
use testkit::Golden;
use wan_import::{ImportError, Stored, TensorFile, TensorSource, open};
use zip::{ZipWriter, write::SimpleFileOptions};

fn values(file: &TensorFile, name: &str) -> Vec<f32> {
    let (bytes, info) = (file.data(name).unwrap(), file.info(name).unwrap());
    let chunks = bytes.chunks_exact(info.dtype.size().unwrap());
    chunks
        .map(|b| match info.dtype {
            Stored::F64 => f64::from_le_bytes(b.try_into().unwrap()) as f32,
            Stored::F32 => f32::from_le_bytes(b.try_into().unwrap()),
            Stored::F16 => half::f16::from_le_bytes(b.try_into().unwrap()).to_f32(),
            Stored::Bf16 => half::bf16::from_le_bytes(b.try_into().unwrap()).to_f32(),
            Stored::Other(_) | Stored::Quantized(_) => i64::from_le_bytes(b.try_into().unwrap()) as f32,
        })
        .collect()
}

#[test]
fn files_of_pytorch_give_its_values() {
    let golden = Golden::load("torch_files");
    for name in ["torch_flat.pth", "torch_nested.pth"] {
        let file = open(&Golden::path(name)).unwrap();
        assert_eq!(file.names().len(), 12, "{name}");
        for key in golden.keys("") {
            let (shape, expected) = golden.get(key);
            assert_eq!(file.info(key).unwrap().shape, shape, "{name}: {key}");
            assert_eq!(values(&file, key), expected, "{name}: {key}");
        }
        let empty = file.info("empty").unwrap();
        assert_eq!((empty.shape.as_slice(), empty.bytes), ([0, 3].as_slice(), 0));
        let dtypes = ["base", "f16", "bf16", "f64"].map(|key| file.info(key).unwrap().dtype.clone());
        assert_eq!(dtypes, [Stored::F32, Stored::F16, Stored::Bf16, Stored::F64]);
    }
}

/// An archive with the given entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn opened(bytes: &[u8]) -> Result<TensorFile, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    std::fs::write(&path, bytes).unwrap();
    open(&path)
}

fn pickled(pickle: &[u8]) -> Result<TensorFile, ImportError> {
    opened(&archive(&[("x/data.pkl", pickle), ("x/data/0", &[0; 24])]))
}

/// The refusal of a damaged file.
fn refusal(result: Result<TensorFile, ImportError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, ImportError::Format { .. }), "{error}");
    error.to_string()
}

/// A state dict of one tensor `a` over a storage of 6 floats; numbers are pickle's signed 32-bit integers.
fn one_tensor(class: &str, elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let int = |n: i32| [b"J".as_slice(), &n.to_le_bytes()].concat();
    let tuple =
        |items: &[i32]| [b"(".to_vec(), items.iter().flat_map(|&n| int(n)).collect(), b"t".to_vec()].concat();
    [
        b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n".to_vec(),
        format!("{class}\n").into_bytes(),
        b"X\x01\0\0\x000X\x03\0\0\0cpu".to_vec(),
        int(elements),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn views_must_stay_in_their_storage() {
    let float = |elements, offset, shape: &[i32], strides: &[i32]| {
        pickled(&one_tensor("FloatStorage", elements, offset, shape, strides))
    };
    assert_eq!(float(6, 0, &[2, 3], &[3, 1]).unwrap().info("a").unwrap().shape, [2, 3]);
    assert_eq!(float(6, 5, &[], &[]).unwrap().data("a").unwrap().len(), 4);
    for (elements, offset, shape, strides) in [
        (6, 1, [2, 3].as_slice(), [3, 1].as_slice()),
        (6, 0, &[2, 3], &[4, 1]),
        (6, 0, &[7], &[1]),
        (7, 0, &[7], &[1]),
        (5, 0, &[2, 3], &[3, 1]),
        (6, -1, &[1], &[1]),
        (6, 0, &[-1], &[1]),
        (6, 0, &[2], &[-1]),
        (6, 7, &[0], &[1]),
        (6, 0, &[2, 3], &[1]),
        (6, 0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0]),
        (6, 0, &[2, 2, 2], &[0, 0, 0]),
        (6, 0, &[2, 2], &[i32::MAX, i32::MAX]),
        (6, 0, &[1; 9], &[1; 9]),
    ] {
        refusal(float(elements, offset, shape, strides));
    }
    let other = pickled(&one_tensor("QInt8Storage", 6, 0, &[6], &[1])).unwrap();
    assert_eq!(other.info("a").unwrap().dtype, Stored::Other("QInt8Storage".into()));
}

#[test]
fn code_is_refused_by_name() {
    let forbidden = |pickle: &[u8], what: (&str, &str)| match pickled(pickle).unwrap_err() {
        error @ ImportError::ForbiddenGlobal { .. } => {
            assert!(error.to_string().contains(&format!("`{}.{}`", what.0, what.1)), "{error}");
            assert!(error.hint().is_some());
        }
        other => panic!("{other}"),
    };
    forbidden(b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.", ("os", "system"));
    forbidden(b"\x80\x02cbuiltins\neval\n.", ("builtins", "eval"));
    forbidden(b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", ("posix", "system"));
    forbidden(b"ctorch._utils\n_rebuild_tensor_v3\n.", ("torch._utils", "_rebuild_tensor_v3"));
    forbidden(b"ctorch\nload\n.", ("torch", "load"));
    forbidden(b"ctorch.serialization\nFloatStorage\n.", ("torch.serialization", "FloatStorage"));
    forbidden(b"ctorch\nos.system;Storage\n.", ("torch", "os.system;Storage"));
}

#[test]
fn broken_pickles_are_refused() {
    for pickle in [
        b"".as_slice(),
        b".",
        b"}",
        b"0.",
        b"t.",
        b"(0.",
        b"}(K\x01u.",
        b"K\x01K\x02s.",
        b"]K\x01K\x02s.",
        b"}K\x01a.",
        b"h\x05.",
        b"ccollections\nOrderedDict\nK\x01R.",
        b"ccollections\nOrderedDict\n]\x85R.",
        b"K\x01Q.",
        b")Q.",
        b"X\xff\xff\xff\xffabc.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
        b"X\x02\0\0\0\xff\xfe.",
        b"\x8a\x09123456789.",
        b"ccollections",
        b"i.",
        b"\x80\x09}.",
        b"}.",
        b"]}ab.",
        b"}X\x0a\0\0\0state_dictK\x01s.",
        // A dict that holds itself.
        b"}q\0X\x05\0\0\0modelh\0s.",
    ] {
        refusal(pickled(pickle));
    }
    refusal(pickled(&[b"(".repeat(2 << 20), b".".to_vec()].concat()));
    refusal(pickled(&[b")".to_vec(), b"\x85".repeat(2 << 20), b".".to_vec()].concat()));
    refusal(pickled(&[b"]".to_vec(), b"2".repeat(2 << 20), b".".to_vec()].concat()));
    refusal(pickled(&[b"}".repeat(17 << 20), b".".to_vec()].concat()));
    // Deep, but within the limits: the nesting is never followed.
    refusal(pickled(&[b")".to_vec(), b"\x85".repeat(1 << 19), b".".to_vec()].concat()));
}

#[test]
fn a_doubled_key_is_refused() {
    let one = one_tensor("FloatStorage", 6, 0, &[6], &[1]);
    let item = &one[3..one.len() - 2];
    let twice = [b"\x80\x02}(", item, item, b"u."].concat();
    assert!(refusal(pickled(&twice)).contains("twice"));
}

#[test]
fn archives_of_another_kind_are_refused() {
    let pickle = one_tensor("FloatStorage", 6, 0, &[6], &[1]);
    let legacy = opened(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").unwrap_err();
    assert!(legacy.to_string().contains("legacy") && legacy.hint().unwrap().contains("torch.save"));
    assert!(matches!(opened(b"anything"), Err(ImportError::UnsupportedFormat { .. })));
    assert!(matches!(opened(b""), Err(ImportError::UnsupportedFormat { .. })));
    let data = ("x/data/0", [0u8; 24].as_slice());
    assert!(opened(&archive(&[("x/data.pkl", &pickle), data])).is_ok());
    refusal(opened(&archive(&[("x/other", &pickle), data])));
    refusal(opened(&archive(&[("x/data.pkl", &pickle), ("y/data/0", &[0; 24])])));
    refusal(opened(&archive(&[("x/data.pkl", &pickle), ("x/data/0", &[0; 23])])));
    let big = opened(&archive(&[("x/data.pkl", &pickle), data, ("x/byteorder", b"big")]));
    assert!(refusal(big).contains("big-endian"));
    assert!(opened(&archive(&[("x/data.pkl", &pickle), data, ("x/byteorder", b"little")])).is_ok());
}

#[test]
fn compressed_entries_are_refused() {
    let pickle = one_tensor("FloatStorage", 6, 0, &[6], &[1]);
    let mut file = archive(&[("x/data.pkl", &pickle), ("x/data/0", &[0; 24])]);
    // The method is at byte 10 of each directory entry; 8 is deflate.
    let entries: Vec<_> =
        file.windows(4).enumerate().filter(|(_, w)| *w == b"PK\x01\x02").map(|(at, _)| at).collect();
    assert_eq!(entries.len(), 2);
    file[entries[1] + 10] = 8;
    assert!(refusal(opened(&file)).contains("compressed"));
}

#[test]
fn every_truncation_is_refused() {
    let file = std::fs::read(Golden::path("torch_flat.pth")).unwrap();
    for length in (0..file.len()).step_by(7).chain(file.len() - 30..file.len()) {
        assert!(opened(&file[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_directory_of_a_billion_entries_is_refused() {
    let mut file = b"PK\x03\x04".to_vec();
    file.resize(64, 0);
    let record = file.len() as u64;
    file.extend_from_slice(b"PK\x06\x06");
    file.extend_from_slice(&44u64.to_le_bytes());
    file.extend_from_slice(&[0; 12]);
    file.extend_from_slice(&(1u64 << 30).to_le_bytes());
    file.extend_from_slice(&(1u64 << 30).to_le_bytes());
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    file.extend_from_slice(&record.to_le_bytes());
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    assert!(refusal(opened(&file)).contains("entries"));
}

proptest! {
    #[test]
    fn random_pickles_never_panic(pickle in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = pickled(&pickle);
    }

    #[test]
    fn mutated_files_stay_in_bounds(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = std::fs::read(Golden::path("torch_nested.pth")).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(file) = opened(&bytes) {
            for name in file.names() {
                prop_assert_eq!(file.data(name).unwrap().len(), file.info(name).unwrap().bytes);
            }
        }
    }
}
