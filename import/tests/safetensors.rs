//! The safetensors reader, single and sharded, against files that are whole, damaged and hostile.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use safetensors::Dtype;
use support::{f32s, raw, write};
use wan_import::{ImportError, Stored, TensorFile, TensorSource, open};

fn opened(bytes: &[u8]) -> Result<TensorFile, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, bytes).unwrap();
    open(&path)
}

fn refusal(bytes: &[u8]) -> String {
    let error = opened(bytes).unwrap_err();
    assert!(matches!(error, ImportError::Format { .. }), "{error}");
    assert!(error.hint().is_some());
    error.to_string()
}

fn sample() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let tensors = [
        ("b", Dtype::F32, vec![2, 3], f32s(&[1., 2., 3., 4., 5., 6.])),
        ("a", Dtype::BF16, vec![2], vec![0, 0x3f, 0x80, 0x3f]),
    ];
    std::fs::read(write(&path, &tensors)).unwrap()
}

#[test]
fn reads_names_shapes_and_bytes() {
    let file = opened(&sample()).unwrap();
    assert_eq!(file.names(), ["a", "b"]);
    let info = file.info("b").unwrap();
    assert_eq!((info.shape.as_slice(), &info.dtype, info.bytes), ([2, 3].as_slice(), &Stored::F32, 24));
    assert_eq!(&*file.data("b").unwrap(), f32s(&[1., 2., 3., 4., 5., 6.]));
    assert_eq!(&*file.data("a").unwrap(), [0, 0x3f, 0x80, 0x3f]);
    assert!(file.info("c").is_none() && file.data("c").is_none());
}

#[test]
fn every_truncation_is_refused() {
    let whole = sample();
    for length in 0..whole.len() {
        refusal(&whole[..length]);
    }
    refusal(&[whole.as_slice(), &[0]].concat());
}

#[test]
fn headers_that_lie_are_refused() {
    let entry = |offsets: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}}}"#);
    assert!(opened(&raw(&entry("[0,8]"), &[0; 8])).is_ok());
    for offsets in
        ["[0,12]", "[8,0]", "[4,12]", "[0,4]", "[0,18446744073709551615]", "[-8,0]", "[0]", "[0,8,8]"]
    {
        refusal(&raw(&entry(offsets), &[0; 8]));
    }
    let shape = |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,8]}}}}"#);
    for wrong in ["[3]", "[4294967296,4294967296,2]", "[18446744073709551615]", "[-2]", "[2.5]", "2"] {
        refusal(&raw(&shape(wrong), &[0; 8]));
    }
    let long = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    assert!(refusal(&long).contains("header"));
    assert!(refusal(&[1000u64.to_le_bytes().as_slice(), b"{}"].concat()).contains("past the end"));
    refusal(&raw(&"[".repeat(100_000), &[]));
    refusal(&raw("[]", &[]));
    assert!(opened(&raw("{}", &[])).unwrap().names().is_empty());
}

#[test]
fn overlaps_gaps_and_doubled_keys_are_refused() {
    let two = |a: &str, b: &str, names: [&str; 2]| {
        let tensor = |offsets: &str| format!(r#"{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}"#);
        raw(&format!(r#"{{"{}":{},"{}":{}}}"#, names[0], tensor(a), names[1], tensor(b)), &[0; 16])
    };
    assert!(opened(&two("[0,8]", "[8,16]", ["a", "b"])).is_ok());
    assert!(opened(&two("[8,16]", "[0,8]", ["a", "b"])).is_ok());
    assert!(refusal(&two("[0,8]", "[0,8]", ["a", "b"])).contains("overlap"));
    assert!(refusal(&two("[0,8]", "[4,12]", ["a", "b"])).contains("overlap"));
    assert!(refusal(&two("[8,16]", "[8,16]", ["a", "b"])).contains("gap"));
    assert!(refusal(&two("[0,8]", "[8,16]", ["a", "a"])).contains("twice"));
}

#[test]
fn an_unknown_dtype_leaves_the_rest_readable() {
    let header = r#"{"a":{"dtype":"F9_E9","shape":[3],"data_offsets":[0,5]},
                     "b":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[5,8]},
                     "c":{"dtype":"F32","shape":[],"data_offsets":[8,12]}}"#;
    let file = opened(&raw(header, &[1; 12])).unwrap();
    assert_eq!(file.info("a").unwrap().dtype, Stored::Other("F9_E9".into()));
    assert_eq!(file.data("b").unwrap().len(), 3);
    assert_eq!(file.data("c").unwrap().len(), 4);
}

#[test]
fn shards_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("one.safetensors"), &[("a", Dtype::F32, vec![1], f32s(&[1.]))]);
    write(&at("two.safetensors"), &[("b", Dtype::F32, vec![1], f32s(&[2.]))]);
    let index = at("x.safetensors.index.json");
    let check = |map: &str| {
        std::fs::write(&index, format!(r#"{{"metadata":{{}},"weight_map":{map}}}"#)).unwrap();
        open(&index)
    };
    let file = check(r#"{"a":"one.safetensors","b":"two.safetensors"}"#).unwrap();
    assert_eq!(file.names(), ["a", "b"]);
    assert_eq!(&*file.data("b").unwrap(), f32s(&[2.]));
    for wrong in [
        r#"{"a":"one.safetensors"}"#.to_owned() + "}",
        r#"{"a":"two.safetensors","b":"one.safetensors"}"#.into(),
        r#"{"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"}"#.into(),
        r#"{"a":"one.safetensors","a":"one.safetensors","b":"two.safetensors"}"#.into(),
        r#"{"a":"one.safetensors","b":7}"#.into(),
        r#"{"b":"three.safetensors"}"#.into(),
        "7".into(),
    ] {
        assert!(check(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_tensor_that_no_index_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let tensor = |name| (name, Dtype::F32, vec![1], f32s(&[1.]));
    write(&at("one.safetensors"), &[tensor("a"), tensor("hidden")]);
    std::fs::write(at("i.json"), r#"{"weight_map":{"a":"one.safetensors"}}"#).unwrap();
    assert!(open(&at("i.json")).unwrap_err().to_string().contains("hidden"));
}

#[test]
fn an_index_stays_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let outside = write(&folder.path().join("out.safetensors"), &[("a", Dtype::F32, vec![1], f32s(&[1.]))]);
    let index = inner.join("i.json");
    let absolute = outside.to_str().unwrap().replace('\\', "/");
    for shard in
        ["../out.safetensors", "./../out.safetensors", &absolute, "..", "", ".", "a/b", "..\\\\out", "C:x"]
    {
        std::fs::write(&index, format!(r#"{{"weight_map":{{"a":"{shard}"}}}}"#)).unwrap();
        let error = open(&index).unwrap_err().to_string();
        assert!(error.contains("plain file name"), "{shard}: {error}");
    }
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path()), Err(ImportError::Io { .. })));
    assert!(matches!(open(&folder.path().join("none.safetensors")), Err(ImportError::Io { .. })));
    let gguf = folder.path().join("x.gguf");
    std::fs::write(&gguf, b"GGUF....").unwrap();
    assert!(open(&gguf).unwrap_err().to_string().contains("GGUF"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = opened(&bytes);
        let header: String = bytes.iter().map(|b| char::from(b"{}[]\":,0123456789aF\\ "[usize::from(*b) % 21])).collect();
        let _ = opened(&raw(&header, &[0; 16]));
    }

    #[test]
    fn mutated_files_stay_in_bounds(at in any::<prop::sample::Index>(), value: u8) {
        let mut file = sample();
        let at = at.index(file.len());
        file[at] = value;
        if let Ok(file) = opened(&file) {
            for name in file.names() {
                prop_assert_eq!(file.data(name).unwrap().len(), file.info(name).unwrap().bytes);
            }
        }
    }
}
