//! The hub's HTTP interface: what a model consists of, and its files from any byte on.

use std::{fmt, fs, io::Read, path::Path, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::{
    Agent, Body,
    config::{AutoHeaderValue, RedirectAuthHeaders},
    http::{HeaderMap, Response},
    tls::{RootCerts, TlsConfig},
};

use super::{HubError, HubId, checksum::Digest};
use crate::shards::is_plain_name;

const CONNECT: Duration = Duration::from_secs(15);
/// Of silence, after which a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest description of a model that is read, in bytes.
const MAX_LISTING: u64 = 32 << 20;
/// What stays as it is in a path.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// An access token, which prints as nothing.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of printable characters; others would not go into a request.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a transfer ended.
pub(super) enum Fault {
    /// Another try may help, after a while that the server may have named.
    Retry {
        detail: String,
        after: Option<Duration>,
    },
    Final(HubError),
}

/// A file as the hub lists it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub path: String,
    /// Length and checksum, unless the server leaves them out.
    pub contents: Option<(u64, Digest)>,
}

/// A commit and its files.
pub(super) struct Listing {
    pub commit: String,
    pub files: Vec<Listed>,
}

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
}

/// A file's bytes on their way.
pub(super) struct Stream {
    /// Of the first byte that comes.
    pub start: u64,
    pub reader: Box<dyn Read>,
}

impl Client {
    pub fn new(endpoint: &str, token: Option<Token>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("wan/", env!("CARGO_PKG_VERSION")))
            // Ranges count bytes of the file, not of a compressed form.
            .accept_encoding(AutoHeaderValue::Provided("identity".to_owned().into()))
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .tls_config(TlsConfig::builder().root_certs(root_certificates()).build())
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        Self { agent: config.build().into(), endpoint: endpoint.to_owned(), token }
    }

    /// The files of a model at its revision.
    pub fn listing(&self, id: &HubId) -> Result<Listing, Fault> {
        let revision = utf8_percent_encode(id.revision(), &PLAIN).to_string().replace('/', "%2F");
        let url = format!("{}/api/models/{}/revision/{revision}?blobs=true", self.endpoint, id.repository());
        let mut response = self.checked(id, &url, 0)?;
        let body = response.body_mut().with_config().limit(MAX_LISTING).read_to_vec();
        let body = body.map_err(|error| retry(&error))?;
        let malformed = |detail: String| Fault::Final(HubError::Malformed { url: url.clone(), detail });
        Listing::parse(&body).map_err(malformed)
    }

    /// Length and checksum of a file, which the listing did not have.
    pub fn contents(&self, id: &HubId, commit: &str, path: &str) -> Result<(u64, Digest), Fault> {
        let url = self.address(id, commit, path);
        // The first answer names the file's own checksum; the storage behind a redirect need not.
        let request = self.authorised(self.agent.head(&url)).config().max_redirects(0).build();
        let response = request.call().map_err(|error| self.failed(&error))?;
        self.check(id, &url, &response)?;
        let header = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| response.headers().get(*name)?.to_str().ok());
            found.map(|value| value.trim_start_matches("W/").trim_matches('"').to_owned())
        };
        let bytes = header(["x-linked-size", "content-length"]).and_then(|bytes| bytes.parse().ok());
        let digest = header(["x-linked-etag", "etag"]).and_then(|tag| Digest::parse(&tag));
        let detail = || format!("{path}: the server names neither length nor checksum");
        bytes
            .zip(digest)
            .ok_or_else(|| Fault::Final(HubError::Malformed { url: url.clone(), detail: detail() }))
    }

    /// The bytes of a file from `start` on, or from its first on where the server knows no parts.
    pub fn open(&self, id: &HubId, commit: &str, path: &str, start: u64) -> Result<Stream, Fault> {
        let response = self.checked(id, &self.address(id, commit, path), start)?;
        let from = if response.status() == 206 { range_start(response.headers()) } else { Some(0) };
        let Some(from) = from.filter(|&from| from == start || from == 0) else {
            return Err(Fault::Retry { detail: "another part than was asked for".into(), after: None });
        };
        Ok(Stream { start: from, reader: Box::new(response.into_body().into_reader()) })
    }

    fn address(&self, id: &HubId, commit: &str, path: &str) -> String {
        let path = utf8_percent_encode(path, &PLAIN);
        format!("{}/{}/resolve/{commit}/{path}", self.endpoint, id.repository())
    }

    fn checked(&self, id: &HubId, url: &str, start: u64) -> Result<Response<Body>, Fault> {
        let request = self.authorised(self.agent.get(url));
        let request = if start > 0 { request.header("Range", format!("bytes={start}-")) } else { request };
        let response = request.call().map_err(|error| self.failed(&error))?;
        self.check(id, url, &response)?;
        Ok(response)
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(Token(token)) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn check(&self, id: &HubId, url: &str, response: &Response<Body>) -> Result<(), Fault> {
        let status = response.status().as_u16();
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or("");
        let (endpoint, token) = (self.endpoint.clone(), self.token.is_some());
        let (name, answer) = (id.repository(), HubError::Answer { url: url.to_owned(), status });
        let error = match (status, code) {
            (200..=399, _) => return Ok(()),
            (_, "RevisionNotFound") => HubError::NoRevision { id: name, revision: id.revision().to_owned() },
            (_, "GatedRepo") | (403, _) => HubError::Denied { endpoint, id: name, token },
            // Whether a model is private or absent is not told to strangers.
            (401, _) | (_, "RepoNotFound") => HubError::NotFound { endpoint, id: name, token },
            (404, "EntryNotFound") => answer,
            (404, _) => HubError::NotFound { endpoint, id: name, token },
            (408 | 416 | 429 | 500.., _) => {
                let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok());
                let after = after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
                return Err(Fault::Retry { detail: format!("the server answers {status}"), after });
            }
            _ => answer,
        };
        Err(Fault::Final(error))
    }

    /// A server of this name that nobody knows is no passing matter.
    fn failed(&self, error: &ureq::Error) -> Fault {
        match error {
            ureq::Error::HostNotFound | ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                let (endpoint, detail) = (self.endpoint.clone(), error.to_string());
                Fault::Final(HubError::Unreachable { endpoint, detail })
            }
            _ => retry(error),
        }
    }
}

fn retry(error: &ureq::Error) -> Fault {
    Fault::Retry { detail: error.to_string(), after: None }
}

/// `Content-Range: bytes START-END/LENGTH`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get("content-range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Those of `SSL_CERT_FILE`, which other programs ask for too, or Mozilla's.
fn root_certificates() -> RootCerts {
    let file = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty());
    let found = file.and_then(|file| {
        let pem = fs::read(Path::new(&file)).ok()?;
        let items = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        Some(items.collect::<Vec<_>>()).filter(|found| !found.is_empty())
    });
    found.map_or(RootCerts::WebPki, RootCerts::from)
}

/// The hub's description of a model.
#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Listing {
    /// Reads the hub's answer, of which nothing may lead out of the cache's folders.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let Info { sha, siblings } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !(7..=64).contains(&sha.len()) || !sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("`{sha}` is no commit"));
        }
        let files = siblings.into_iter().map(Sibling::listed).collect::<Result<_, _>>()?;
        Ok(Self { commit: sha, files })
    }
}

impl Sibling {
    fn listed(self) -> Result<Listed, String> {
        if !self.rfilename.split('/').all(is_plain_name) {
            return Err(format!("`{}` is no path of a file", self.rfilename));
        }
        let named = match (self.lfs, self.size, self.blob) {
            (Some(lfs), ..) => Some((lfs.size, lfs.sha256)),
            (None, Some(size), Some(blob)) => Some((size, blob)),
            _ => None,
        };
        let digest = |(size, text): (u64, String)| {
            let digest = Digest::parse(&text).ok_or_else(|| format!("`{text}` is no checksum"))?;
            Ok::<_, String>((size, digest))
        };
        Ok(Listed { contents: named.map(digest).transpose()?, path: self.rfilename })
    }
}
