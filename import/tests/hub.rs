//! Models from a hub that breaks off, lies, and refuses.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use testkit::hub::{COMMIT, FakeHub, MODEL, Manners};
use wan_import::{Hub, HubError, Part, Patience, Pulled, Token, Wanted};

/// Quick, so that a test of many failures does not wait.
const PATIENCE: Patience = Patience {
    contact: 200,
    attempts: 30,
    wrong: 3,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
};

fn bytes(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
}

/// A diffusers folder with what nobody needs beside what is.
fn files() -> Vec<(String, Vec<u8>)> {
    let shard = "transformer/diffusion_pytorch_model-0000";
    [
        ("README.md".to_owned(), bytes(400, 1)),
        ("model_index.json".into(), b"{}".to_vec()),
        ("scheduler/scheduler_config.json".into(), bytes(100, 2)),
        ("text_encoder/config.json".into(), bytes(200, 3)),
        ("text_encoder/model.safetensors".into(), bytes(700_001, 4)),
        ("tokenizer/tokenizer.json".into(), bytes(90_000, 5)),
        ("transformer/config.json".into(), bytes(0, 6)),
        (format!("{shard}1-of-00002.safetensors"), bytes(1_500_000, 7)),
        (format!("{shard}2-of-00002.safetensors"), bytes(1_048_576, 8)),
        ("transformer/diffusion_pytorch_model.safetensors.index.json".into(), bytes(2_000, 9)),
        ("vae/config.json".into(), bytes(300, 10)),
        ("vae/diffusion_pytorch_model.safetensors".into(), bytes(300_000, 11)),
        ("vae/diffusion_pytorch_model.bin".into(), bytes(300_000, 12)),
    ]
    .into()
}

const NEEDED: usize = 11;

struct Bench {
    server: FakeHub,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(manners: Manners, seed: u64) -> Self {
        Self { server: FakeHub::serve(files(), manners, seed), folder: tempfile::tempdir().unwrap() }
    }

    fn hub(&self) -> Hub {
        let hub = Hub::from_env().unwrap();
        let (endpoint, cache) = (self.server.address().to_owned(), self.cache());
        Hub { endpoint, cache, offline: false, patience: PATIENCE, ..hub }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    fn pull(&self, hub: &Hub) -> Result<PathBuf, HubError> {
        let pull = hub.plan(&MODEL.parse().unwrap(), &Wanted::Parts(Vec::new()))?;
        hub.pull(&pull, &mut |_| ControlFlow::Continue(()))
    }

    fn blobs(&self) -> PathBuf {
        self.cache().join("models--tiny-org--tiny-wan/blobs")
    }
}

/// Each needed file under its name, with the server's contents, and no other.
fn assert_whole(folder: &Path) {
    let all = files();
    let (skipped, needed): (Vec<_>, Vec<_>) =
        all.iter().partition(|(path, _)| path == "README.md" || path.ends_with(".bin"));
    assert_eq!(needed.len(), NEEDED);
    for (path, contents) in needed {
        assert!(fs::read(folder.join(path)).unwrap() == *contents, "{path}");
    }
    for (path, _) in skipped {
        assert!(!folder.join(path).exists(), "{path}");
    }
}

#[test]
fn a_server_that_cuts_every_transfer_gives_whole_files_in_the_end() {
    for seed in 0..6 {
        let bench = Bench::new(Manners { breaks: true, breaks_list: true, ..Manners::default() }, seed);
        let folder = bench.pull(&bench.hub()).unwrap();
        assert_whole(&folder);
        let parts = bench.server.requests().iter().filter(|line| !line.ends_with(" 0")).count();
        assert!(parts > 5, "only {parts} transfers went on from the middle");
    }
}

#[test]
fn the_cache_is_laid_out_as_other_programs_expect() {
    let bench = Bench::new(Manners::default(), 1);
    let folder = bench.pull(&bench.hub()).unwrap();
    let root = bench.cache().join("models--tiny-org--tiny-wan");
    assert_eq!(folder, root.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let blobs = fs::read_dir(bench.blobs()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut blobs: Vec<_> = blobs.map(|name| name.into_string().unwrap()).collect();
    let needed = files().into_iter().filter(|(path, _)| path != "README.md" && !path.ends_with(".bin"));
    let mut expected: Vec<_> = needed.map(|(_, contents)| FakeHub::checksum(&contents)).collect();
    blobs.sort();
    expected.sort();
    assert_eq!(blobs, expected);
    #[cfg(unix)]
    {
        let link = fs::read_link(folder.join("vae/config.json")).unwrap();
        assert_eq!(link, Path::new("../../../blobs").join(FakeHub::checksum(&bytes(300, 10))));
    }
}

#[test]
fn a_second_run_asks_for_the_list_only_and_offline_for_nothing() {
    let bench = Bench::new(Manners::default(), 2);
    let folder = bench.pull(&bench.hub()).unwrap();
    let before = bench.server.requests().len();
    assert_eq!(bench.pull(&bench.hub()).unwrap(), folder);
    assert_eq!(bench.server.requests().len(), before + 1);
    let offline = Hub { offline: true, ..bench.hub() };
    assert_eq!(offline.cached(&MODEL.parse().unwrap()), Some(folder));
    assert!(matches!(bench.pull(&offline), Err(HubError::Offline { .. })));
    assert_eq!(offline.cached(&"tiny-org/another".parse().unwrap()), None);
    assert_eq!(bench.server.requests().len(), before + 1);
}

#[test]
fn wrong_contents_are_refused_and_fetched_again() {
    let bench = Bench::new(Manners { wrong: 2, ..Manners::default() }, 3);
    assert_whole(&bench.pull(&bench.hub()).unwrap());
    let liar = Bench::new(Manners { wrong: usize::MAX, ..Manners::default() }, 4);
    let error = liar.pull(&liar.hub()).unwrap_err();
    assert!(matches!(error, HubError::Checksum { attempts: 3, .. }), "{error}");
    // Contents that were left half by another program and are not what they should be.
    let bench = Bench::new(Manners::default(), 5);
    let partial = format!("{}.incomplete", FakeHub::checksum(&bytes(300_000, 11)));
    fs::create_dir_all(bench.blobs()).unwrap();
    fs::write(bench.blobs().join(partial), bytes(200_000, 99)).unwrap();
    assert_whole(&bench.pull(&bench.hub()).unwrap());
}

#[test]
fn an_interrupted_run_is_gone_on_from() {
    let bench = Bench::new(Manners { stalls_at: Some(100_000), ..Manners::default() }, 6);
    let hub = bench.hub();
    let pull = hub.plan(&MODEL.parse().unwrap(), &Wanted::Parts(Vec::new())).unwrap();
    let mut most = 0;
    let result = hub.pull(&pull, &mut |event| {
        match event {
            Pulled::Bytes { done, .. } => most = most.max(done),
            Pulled::Idle if most > 200_000 => return ControlFlow::Break(()),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(result, Err(HubError::Interrupted)));
    bench.server.behave(Manners::default());
    let again = hub.plan(&MODEL.parse().unwrap(), &Wanted::Parts(Vec::new())).unwrap();
    assert!(again.bytes().1 >= 200_000, "{:?}", again.bytes());
}

#[test]
fn refusals_say_what_to_do() {
    let bench = Bench::new(Manners { token: Some("secret"), ..Manners::default() }, 7);
    let with_token = |token| Hub { token: Token::new(token), ..bench.hub() };
    let error = bench.pull(&bench.hub()).unwrap_err();
    assert!(matches!(error, HubError::NotFound { token: false, .. }), "{error}");
    assert!(error.hint().unwrap().contains("HF_TOKEN"));
    let error = bench.pull(&with_token("wrong")).unwrap_err();
    assert!(matches!(error, HubError::Denied { token: true, .. }), "{error}");
    assert!(error.hint().unwrap().contains("conditions"));
    assert_whole(&bench.pull(&with_token("secret")).unwrap());

    let open = Bench::new(Manners::default(), 8);
    let plan = |id: &str, wanted: &Wanted| open.hub().plan(&id.parse().unwrap(), wanted).unwrap_err();
    let all = Wanted::Parts(Vec::new());
    assert!(plan("tiny-org/typo", &all).hint().unwrap().contains("spelling"));
    let revision = plan(&format!("{MODEL}@v9"), &all);
    assert!(matches!(revision, HubError::NoRevision { .. }), "{revision}");
    let file = plan(MODEL, &Wanted::Files(vec!["vae/other.safetensors".into()]));
    assert!(matches!(file, HubError::NoFile { .. }), "{file}");
    let part = plan(MODEL, &Wanted::Parts(vec![Part::ImageEncoder]));
    assert!(part.to_string().contains("image encoder"), "{part}");
}

#[test]
fn no_network_is_told_from_no_model() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::new(Manners::default(), 9);
    let patience = Patience { contact: 2, ..PATIENCE };
    let hub = Hub { endpoint: format!("http://127.0.0.1:{port}"), patience, ..bench.hub() };
    let error = bench.pull(&hub).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE"));
}

#[test]
fn servers_without_parts_and_lists_without_checksums_do() {
    let manners = Manners { no_parts: true, bare_list: true, ..Manners::default() };
    let bench = Bench::new(manners, 10);
    assert_whole(&bench.pull(&bench.hub()).unwrap());
}

#[test]
fn components_and_single_files_can_be_chosen() {
    let bench = Bench::new(Manners::default(), 11);
    let hub = bench.hub();
    let chosen = |wanted: Wanted| {
        let pull = hub.plan(&MODEL.parse().unwrap(), &wanted).unwrap();
        pull.files.into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    let vae = ["model_index.json", "scheduler/scheduler_config.json", "vae/config.json"];
    let vae: Vec<_> = vae.into_iter().chain(["vae/diffusion_pytorch_model.safetensors"]).collect();
    assert_eq!(chosen(Wanted::Parts(vec![Part::Vae])), vae);
    assert_eq!(chosen(Wanted::Files(vec!["README.md".into()])), ["README.md"]);
    assert_eq!(chosen(Wanted::All).len(), files().len());
}

#[test]
fn paths_that_lead_out_of_the_cache_are_refused() {
    for path in ["../outside.json", "/etc/passwd", "vae/../../x", "a\\\\b", "C:/x", ""] {
        let hub = FakeHub::serve([(path.to_owned(), b"x".to_vec())], Manners::default(), 12);
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench { server: hub, folder };
        let error = bench.hub().plan(&MODEL.parse().unwrap(), &Wanted::All).unwrap_err();
        assert!(matches!(error, HubError::Malformed { .. }), "{path}: {error}");
    }
}
