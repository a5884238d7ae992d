//! A hub of models on this machine, as well or as badly behaved as a test wants it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// The only commit of the only model.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Name of the only model.
pub const MODEL: &str = "tiny-org/tiny-wan";

/// What the server does to whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Most contents break off at a random byte, some come as an error of the server, some not at all.
    pub breaks: bool,
    /// The list of files does so too.
    pub breaks_list: bool,
    /// So many transfers of contents have one wrong byte.
    pub wrong: usize,
    /// Parts of files are not known: each answer begins at the first byte.
    pub no_parts: bool,
    /// The list of files has names only.
    pub bare_list: bool,
    /// Only who has this token is let in.
    pub token: Option<&'static str>,
    /// Contents stop here until the connection is closed by the other side.
    pub stalls_at: Option<usize>,
}

/// A server on a port of its own; it ends with the process.
#[derive(Clone)]
pub struct FakeHub(Arc<State>);

struct State {
    address: String,
    files: BTreeMap<String, Vec<u8>>,
    manners: Mutex<Manners>,
    random: AtomicU64,
    wrong: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

/// From so many bytes on a file counts as a large one, which lies elsewhere.
const LARGE: usize = 1 << 10;

impl FakeHub {
    /// Serves `files` by their paths.
    pub fn serve(files: impl IntoIterator<Item = (String, Vec<u8>)>, manners: Manners, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = format!("http://{}", listener.local_addr().expect("its number"));
        let hub = Self(Arc::new(State {
            address,
            files: files.into_iter().collect(),
            manners: Mutex::new(manners),
            random: AtomicU64::new(seed),
            wrong: AtomicUsize::new(0),
            requests: Mutex::default(),
        }));
        let server = hub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                // A client that went away is no fault of a server.
                thread::spawn(move || drop(server.answer(stream)));
            }
        });
        hub
    }

    /// What `HF_ENDPOINT` should be.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// From now on.
    pub fn behave(&self, manners: Manners) {
        *self.0.manners.lock().unwrap_or_else(PoisonError::into_inner) = manners;
        self.0.wrong.store(0, Ordering::Relaxed);
    }

    /// Method, path and range of what was asked until now.
    pub fn requests(&self) -> Vec<String> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The checksum by which contents are named.
    pub fn checksum(contents: &[u8]) -> String {
        if contents.len() >= LARGE {
            return hex(&SHA256, contents);
        }
        let object = [format!("blob {}\0", contents.len()).as_bytes(), contents].concat();
        hex(&SHA1_FOR_LEGACY_USE_ONLY, &object)
    }

    fn manners(&self) -> Manners {
        self.0.manners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number below `end`.
    fn random(&self, end: usize) -> usize {
        // Knuth's MMIX generator, of which the upper bits are good.
        let next = |n: u64| n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = self.0.random.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(next(n)));
        (drawn.unwrap_or_else(|n| n) >> 33) as usize % end.max(1)
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let request = Request::read(&stream)?;
        let manners = self.manners();
        let line = format!("{} {} {}", request.method, request.path, request.start.unwrap_or(0));
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        let breaks = if request.path.starts_with("/api/") { manners.breaks_list } else { manners.breaks };
        if breaks {
            match self.random(10) {
                0 => return stream.shutdown(Shutdown::Both),
                1 => return Answer::status(503).send(&stream, usize::MAX),
                _ => {}
            }
        }
        let answer = self.find(&request, &manners);
        let length = if request.method == "HEAD" { 0 } else { answer.body.len() };
        let cut = if breaks && self.random(8) > 0 { self.random(length + 1) } else { length };
        let stall = manners.stalls_at.filter(|_| request.path.starts_with("/storage/"));
        let sent = answer.send(&stream, stall.unwrap_or(cut));
        if stall.is_some() {
            // Until the other side goes.
            let _ = BufReader::new(&stream).read_line(&mut String::new());
        }
        sent
    }

    fn find(&self, request: &Request, manners: &Manners) -> Answer {
        let (listing, files) =
            (format!("/api/models/{MODEL}/revision/"), format!("/{MODEL}/resolve/{COMMIT}/"));
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(name) = path.strip_prefix("/storage/") {
            // The storage has addresses that nobody else knows, and needs no token.
            assert!(request.token.is_none(), "a token went to the storage");
            let contents = self.0.files.values().find(|contents| Self::checksum(contents) == name);
            return contents.map_or_else(|| Answer::status(404), |found| self.part(found, request, manners));
        }
        if manners.token.is_some_and(|token| request.token.as_deref() != Some(token)) {
            return Answer::status(401)
                .with("x-error-code", if request.token.is_some() { "GatedRepo" } else { "" });
        }
        if let Some(revision) = path.strip_prefix(&listing) {
            return match revision {
                "main" | COMMIT => self.list(manners),
                _ => Answer::status(404).with("x-error-code", "RevisionNotFound"),
            };
        }
        let found = path.strip_prefix(&files).and_then(|path| self.0.files.get(path));
        let Some(contents) = found else { return Answer::status(404).with("x-error-code", "RepoNotFound") };
        let checksum = Self::checksum(contents);
        if contents.len() >= LARGE {
            // Another host, to which no token goes.
            let elsewhere = self.0.address.replace("127.0.0.1", "localhost");
            let (size, place) = (contents.len().to_string(), format!("{elsewhere}/storage/{checksum}"));
            let answer = Answer::status(302).with("location", &place).with("x-linked-size", &size);
            return answer.with("x-linked-etag", &format!("\"{checksum}\""));
        }
        self.part(contents, request, manners).with("etag", &format!("\"{checksum}\""))
    }

    fn list(&self, manners: &Manners) -> Answer {
        let entry = |(path, contents): (&String, &Vec<u8>)| {
            let (size, sum) = (contents.len(), Self::checksum(contents));
            match (manners.bare_list, size >= LARGE) {
                (true, _) => format!(r#"{{"rfilename":"{path}"}}"#),
                (false, false) => format!(r#"{{"rfilename":"{path}","size":{size},"blobId":"{sum}"}}"#),
                (false, true) => format!(
                    r#"{{"rfilename":"{path}","size":{size},"blobId":"{COMMIT}","lfs":{{"sha256":"{sum}","size":{size},"pointerSize":135}}}}"#
                ),
            }
        };
        let files: Vec<_> = self.0.files.iter().map(entry).collect();
        let body = format!(r#"{{"id":"{MODEL}","sha":"{COMMIT}","siblings":[{}]}}"#, files.join(","));
        Answer { body: body.into_bytes(), ..Answer::status(200) }
    }

    fn part(&self, contents: &[u8], request: &Request, manners: &Manners) -> Answer {
        let start = request.start.filter(|_| !manners.no_parts).unwrap_or(0);
        let Some(part) = contents.get(start..).filter(|part| start == 0 || !part.is_empty()) else {
            return Answer::status(416);
        };
        let mut body = part.to_vec();
        if !body.is_empty() && self.0.wrong.fetch_add(1, Ordering::Relaxed) < manners.wrong {
            let at = self.random(body.len());
            body[at] ^= 1;
        }
        let answer = Answer { body, ..Answer::status(if start > 0 { 206 } else { 200 }) };
        let last = contents.len().saturating_sub(1);
        if start > 0 {
            return answer.with("content-range", &format!("bytes {start}-{last}/{}", contents.len()));
        }
        answer
    }
}

fn hex(algorithm: &'static Algorithm, bytes: &[u8]) -> String {
    digest(algorithm, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Request {
    method: String,
    path: String,
    start: Option<usize>,
    token: Option<String>,
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Self { method, path, start: None, token: None };
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    request.start = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok()
                }
                "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_owned),
                _ => {}
            }
        }
        Ok(request)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Promises all of the body and sends `cut` bytes of it.
    fn send(&self, mut stream: &TcpStream, cut: usize) -> std::io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {} .\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        stream.write_all(&self.body[..cut.min(self.body.len())])
    }
}
