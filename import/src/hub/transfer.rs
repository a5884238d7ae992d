//! One file from the hub to the cache, however often the connection breaks.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    HubError, HubFile, HubId, Patience,
    cache::{Store, at},
    checksum::Sum,
    client::{Client, Fault},
};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;
/// Between two looks at whether to stop.
const BLINK: Duration = Duration::from_millis(50);
/// Waiting that nobody wonders about.
const UNNOTICED: Duration = Duration::from_secs(2);

/// What all files of a download share.
pub(super) struct Work<'a> {
    pub client: &'a Client,
    pub store: &'a Store,
    pub id: &'a HubId,
    pub commit: &'a str,
    pub patience: Patience,
    pub stop: &'a AtomicBool,
    /// Gets what went wrong if the next try is not made at once.
    pub note: &'a dyn Fn(&str),
}

impl Work<'_> {
    /// Brings a file into the cache and gives it its name. `tell` gets the bytes that are there.
    pub fn fetch(&self, file: &HubFile, tell: &dyn Fn(u64)) -> Result<(), HubError> {
        let checksum = file.digest.text();
        let _lock = self.lock(checksum)?;
        // Another program may have brought it meanwhile.
        if !self.store.has(self.commit, &file.path, checksum, file.bytes) {
            let mut transfer = Transfer::begin(self, file, tell)?;
            transfer.run()?;
            transfer.end()?;
        }
        tell(file.bytes);
        self.store.name(self.commit, &file.path, checksum).map(drop)
    }

    fn lock(&self, checksum: &str) -> Result<File, HubError> {
        loop {
            match self.store.lock(checksum)? {
                Some(lock) => return Ok(lock),
                None => self.wait(20 * BLINK)?,
            }
        }
    }

    fn check_stop(&self) -> Result<(), HubError> {
        if self.stop.load(Ordering::Relaxed) { Err(HubError::Interrupted) } else { Ok(()) }
    }

    fn wait(&self, time: Duration) -> Result<(), HubError> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check_stop()?;
            thread::sleep(BLINK.min(end.saturating_duration_since(Instant::now())));
        }
        self.check_stop()
    }

    /// Calls `attempt` until it succeeds or no try more may help.
    pub fn patiently<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, HubError> {
        let mut tries = Tries::default();
        loop {
            match attempt() {
                Ok(found) => return Ok(found),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Retry { detail, after }) => self.again(&mut tries, what, detail, after)?,
            }
        }
    }

    /// Waits before another try, or gives up.
    fn again(
        &self,
        tries: &mut Tries,
        what: &str,
        detail: String,
        after: Option<Duration>,
    ) -> Result<(), HubError> {
        tries.0 += 1;
        tracing::info!("{what}: {detail} (try {} without progress)", tries.0);
        if tries.0 >= self.patience.attempts {
            return Err(HubError::GaveUp { path: what.to_owned(), attempts: tries.0, detail });
        }
        let doubled = self.patience.first_wait.saturating_mul(1 << (tries.0 - 1).min(16));
        let time = after.unwrap_or(doubled).min(self.patience.longest_wait);
        if time >= UNNOTICED {
            (self.note)(&format!("{what}: {detail}; again in {} s", time.as_secs()));
        }
        self.wait(time)
    }
}

/// Tries in a row that brought nothing.
#[derive(Default)]
struct Tries(u32);

struct Transfer<'a> {
    work: &'a Work<'a>,
    file: &'a HubFile,
    tell: &'a dyn Fn(u64),
    path: PathBuf,
    out: File,
    sum: Sum,
    /// Bytes that are in the file and in the sum.
    done: u64,
}

impl<'a> Transfer<'a> {
    /// Goes on from what an earlier run left.
    fn begin(work: &'a Work<'a>, file: &'a HubFile, tell: &'a dyn Fn(u64)) -> Result<Self, HubError> {
        let path = work.store.partial(file.digest.text());
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let out = open.map_err(at(&path))?;
        let mut transfer = Self { work, file, tell, path, out, sum: file.digest.begin(file.bytes), done: 0 };
        transfer.take_up()?;
        Ok(transfer)
    }

    /// The checksum of what is there, or an empty file if that is more than there should be.
    fn take_up(&mut self) -> Result<(), HubError> {
        let length = self.out.metadata().map_err(at(&self.path))?.len();
        if length > self.file.bytes {
            return self.restart();
        }
        let mut part = vec![0; CHUNK];
        loop {
            self.work.check_stop()?;
            match self.out.read(&mut part) {
                Ok(0) => return Ok(()),
                Ok(bytes) => {
                    self.sum.update(&part[..bytes]);
                    self.done += bytes as u64;
                    (self.tell)(self.done);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at(&self.path)(error)),
            }
        }
    }

    fn restart(&mut self) -> Result<(), HubError> {
        self.out.set_len(0).and_then(|()| self.out.rewind()).map_err(at(&self.path))?;
        self.sum = self.file.digest.begin(self.file.bytes);
        self.done = 0;
        (self.tell)(0);
        Ok(())
    }

    fn run(&mut self) -> Result<(), HubError> {
        let (mut tries, mut wrong, mut furthest) = (Tries::default(), 0, self.done);
        loop {
            let fault = if self.done == self.file.bytes { None } else { self.stream().err() };
            match fault {
                Some(Fault::Final(error)) => return Err(error),
                None if self.is_right() => return Ok(()),
                None => {
                    wrong += 1;
                    tracing::info!("{}: a wrong checksum ({wrong})", self.file.path);
                    if wrong >= self.work.patience.wrong {
                        let _ = fs::remove_file(&self.path);
                        return Err(HubError::Checksum { path: self.file.path.clone(), attempts: wrong });
                    }
                    self.restart()?;
                    furthest = 0;
                }
                Some(Fault::Retry { detail, after }) => {
                    // However short: only standing still counts, and is waited about.
                    if self.done > furthest {
                        (furthest, tries) = (self.done, Tries::default());
                        tracing::debug!("{}: {detail} at byte {furthest}", self.file.path);
                    } else {
                        self.work.again(&mut tries, &self.file.path, detail, after)?;
                    }
                }
            }
        }
    }

    /// Whether these are the contents; if not, the sum begins again.
    fn is_right(&mut self) -> bool {
        let sum = std::mem::replace(&mut self.sum, self.file.digest.begin(self.file.bytes));
        self.done == self.file.bytes && sum.is(&self.file.digest)
    }

    /// Takes what one connection brings. At its good end all bytes are there, or more came than should.
    fn stream(&mut self) -> Result<(), Fault> {
        let Work { client, id, commit, .. } = self.work;
        let mut stream = client.open(id, commit, &self.file.path, self.done)?;
        if stream.start != self.done {
            self.restart().map_err(Fault::Final)?;
        }
        let mut part = vec![0; CHUNK];
        while self.done < self.file.bytes {
            self.work.check_stop().map_err(Fault::Final)?;
            let bytes = match stream.reader.read(&mut part) {
                Ok(0) => {
                    return Err(Fault::Retry { detail: "the connection was closed".into(), after: None });
                }
                Ok(bytes) => bytes.min((self.file.bytes - self.done) as usize),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::Retry { detail: error.to_string(), after: None }),
            };
            self.out.write_all(&part[..bytes]).map_err(|error| Fault::Final(at(&self.path)(error)))?;
            self.sum.update(&part[..bytes]);
            self.done += bytes as u64;
            (self.tell)(self.done);
        }
        Ok(())
    }

    /// Gives the contents their name once all of them are on the disk.
    fn end(self) -> Result<(), HubError> {
        self.out.sync_all().map_err(at(&self.path))?;
        let blob = self.work.store.blob(self.file.digest.text());
        fs::rename(&self.path, &blob).map_err(at(&blob))
    }
}
