//! What a terminal says of itself when it is asked.

#[cfg(unix)]
pub use asked::draws_sixels;

/// Nothing is asked here.
#[cfg(not(unix))]
pub fn draws_sixels() -> bool {
    false
}

/// The number that stands for sixels among what a terminal says of itself,
/// <https://vt100.net/docs/vt510-rm/DA1.html>.
#[cfg(unix)]
const SIXELS: &str = "4";

#[cfg(unix)]
mod asked {
    use std::{
        io::{self, IsTerminal},
        os::fd::AsFd,
        time::{Duration, Instant},
    };

    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        sys::termios::{
            FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, tcflush, tcgetattr, tcsetattr,
        },
        unistd::{getpgrp, read, tcgetpgrp, write},
    };

    use super::SIXELS;

    /// Primary device attributes, which every terminal answers.
    const QUESTION: &[u8] = b"\x1b[c";
    /// Answers take milliseconds, over slow lines some hundred.
    const PATIENCE: Duration = Duration::from_millis(300);
    /// Longest answer that is read, in bytes.
    const MAX_BYTES: usize = 1024;

    /// Whether the terminal says that it draws sixels. It is asked only if it is this process that reads from it.
    pub fn draws_sixels() -> bool {
        let (input, output) = (io::stdin(), io::stderr());
        let reads = || tcgetpgrp(&input).is_ok_and(|group| group == getpgrp());
        let asks = input.is_terminal() && output.is_terminal() && reads();
        asks && ask(&input, &output, PATIENCE).is_ok_and(|answer| says_sixels(&answer))
    }

    /// What comes back within so much time, without an echo.
    fn ask(input: impl AsFd, output: impl AsFd, patience: Duration) -> nix::Result<Vec<u8>> {
        let before = tcgetattr(&input)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        silent.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
        silent.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&input, SetArg::TCSANOW, &silent)?;
        let answer = write(&output, QUESTION).and_then(|_| answer(&input, patience));
        // What comes too late is nothing that was typed.
        let _ = tcflush(&input, FlushArg::TCIFLUSH);
        tcsetattr(&input, SetArg::TCSANOW, &before)?;
        answer
    }

    fn answer(input: impl AsFd, patience: Duration) -> nix::Result<Vec<u8>> {
        let (start, mut bytes) = (Instant::now(), Vec::new());
        while attributes(&bytes).is_none() && bytes.len() < MAX_BYTES {
            let left = patience.saturating_sub(start.elapsed());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut ready = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, left)? == 0 {
                break;
            }
            let mut more = [0; 64];
            let count = read(&input, &mut more)?;
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(&more[..count]);
        }
        Ok(bytes)
    }

    fn says_sixels(answer: &[u8]) -> bool {
        attributes(answer).is_some_and(|text| text.split(';').skip(1).any(|number| number == SIXELS))
    }

    /// The numbers between `ESC [ ?` and `c`, wherever they are.
    fn attributes(answer: &[u8]) -> Option<&str> {
        let start = answer.windows(3).position(|part| part == b"\x1b[?")? + 3;
        let length = answer[start..].iter().position(|&byte| byte == b'c')?;
        std::str::from_utf8(&answer[start..start + length]).ok()
    }

    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    mod tests {
        use std::thread;

        use nix::pty::{OpenptyResult, openpty};

        use super::*;

        /// What a terminal is understood to say that sends `sent` when it is asked, and how long that takes.
        fn of(sent: &'static [&'static [u8]]) -> (bool, Duration) {
            let OpenptyResult { master, slave } = openpty(None, None).unwrap();
            let before = tcgetattr(&slave).unwrap();
            let terminal = thread::spawn(move || {
                let mut asked = [0; 3];
                assert_eq!(read(&master, &mut asked), Ok(3));
                assert_eq!(asked, QUESTION);
                for part in sent {
                    write(&master, part).unwrap();
                    thread::sleep(Duration::from_millis(5));
                }
                master
            });
            let start = Instant::now();
            let answer = ask(&slave, &slave, PATIENCE).unwrap();
            let time = start.elapsed();
            let _master = terminal.join().unwrap();
            assert_eq!(tcgetattr(&slave).unwrap(), before, "the terminal is as it was");
            (says_sixels(&answer), time)
        }

        #[test]
        fn a_terminal_is_asked_and_not_waited_for() {
            assert!(of(&[b"\x1b[?62;4;22c"]).0);
            assert!(of(&[b"typed before", b"\x1b[?6", b"4;1;2;4", b"c"]).0);
            assert!(!of(&[b"\x1b[?1;2c"]).0);
            // A VT100 of class 4 says nothing of sixels by that.
            assert!(!of(&[b"\x1b[?4;14;44c"]).0);
            const NO_ANSWERS: [&[&[u8]]; 3] = [&[], &[b"\x1b[?62;4"], &[b"\x1b["]];
            for sent in NO_ANSWERS {
                let (found, time) = of(sent);
                assert!(!found && time >= PATIENCE / 2 && time < 20 * PATIENCE, "{time:?}");
            }
        }

        #[test]
        fn what_is_no_terminal_is_not_asked() {
            assert!(io::stdin().is_terminal() || ask(io::stdin(), io::stderr(), PATIENCE).is_err());
        }
    }
}
