//! What a thread is waiting in at this moment, by its system call.
//!
//! The monitor looks at each tick at the threads that are in an operation. Over many ticks that tells
//! what an operation's waits are for: looks fall on each wait as often as it is long.

use std::fs;

use libc::c_long;

use super::counter::Counter;
use crate::session::Looks;

/// See [`Looks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Running,
    Storage,
    Network,
    Threads,
    Sleep,
    Gpu,
    Other,
}

/// Looks at one operation, counted by the monitor's thread alone.
#[derive(Debug, Default)]
pub(super) struct LookCounts([Counter; 7]);

impl LookCounts {
    pub(super) fn add(&self, doing: Doing) {
        self.0[doing as usize].add(1);
    }

    pub(super) fn absorb(&self, other: &Self) {
        self.0.iter().zip(&other.0).for_each(|(sum, more)| sum.add(more.get()));
    }

    pub(super) fn looks(&self) -> Looks {
        let of = |doing: Doing| self.0[doing as usize].get();
        Looks {
            running: of(Doing::Running),
            storage: of(Doing::Storage),
            network: of(Doing::Network),
            threads: of(Doing::Threads),
            sleep: of(Doing::Sleep),
            gpu: of(Doing::Gpu),
            other: of(Doing::Other),
        }
    }
}

/// What the thread `tid` of this process does; `None` where the kernel does not tell.
pub(super) fn doing(tid: i32) -> Option<Doing> {
    // See proc_pid_syscall(5).
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
    let mut words = text.split_ascii_whitespace();
    let call = match words.next()? {
        "running" => return Some(Doing::Running),
        // Blocked outside of a system call: it needs a page of a file.
        "-1" => return Some(Doing::Storage),
        number => number.parse().ok()?,
    };
    let first = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    Some(of_call(call).unwrap_or_else(|| of_file(first)))
}

/// By the call alone; `None` where it depends on the file that is its first argument.
fn of_call(call: c_long) -> Option<Doing> {
    match call {
        libc::SYS_read
        | libc::SYS_write
        | libc::SYS_readv
        | libc::SYS_writev
        | libc::SYS_pread64
        | libc::SYS_pwrite64
        | libc::SYS_preadv
        | libc::SYS_pwritev
        | libc::SYS_preadv2
        | libc::SYS_pwritev2
        | libc::SYS_ioctl
        | libc::SYS_sendfile
        | libc::SYS_splice => None,
        libc::SYS_fsync
        | libc::SYS_fdatasync
        | libc::SYS_sync
        | libc::SYS_sync_file_range
        | libc::SYS_openat
        | libc::SYS_statx
        | libc::SYS_newfstatat
        | libc::SYS_getdents64
        | libc::SYS_fadvise64
        | libc::SYS_ftruncate
        | libc::SYS_fallocate
        | libc::SYS_copy_file_range
        | libc::SYS_unlinkat
        | libc::SYS_renameat2
        | libc::SYS_msync
        | libc::SYS_io_getevents
        | libc::SYS_io_uring_enter => Some(Doing::Storage),
        libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_recvmmsg
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendmmsg
        | libc::SYS_connect
        | libc::SYS_accept
        | libc::SYS_accept4
        | libc::SYS_ppoll
        | libc::SYS_pselect6
        | libc::SYS_epoll_pwait => Some(Doing::Network),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll | libc::SYS_select | libc::SYS_epoll_wait => Some(Doing::Network),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open | libc::SYS_stat | libc::SYS_unlink | libc::SYS_rename => {
            Some(Doing::Storage)
        }
        libc::SYS_futex | libc::SYS_flock | libc::SYS_wait4 | libc::SYS_waitid => {
            Some(Doing::Threads)
        }
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => Some(Doing::Sleep),
        _ => Some(Doing::Other),
    }
}

/// By what the file `descriptor` of this process is.
fn of_file(descriptor: u64) -> Doing {
    let Ok(target) = fs::read_link(format!("/proc/self/fd/{descriptor}")) else {
        return Doing::Other;
    };
    let target = target.to_string_lossy();
    match &*target {
        socket if socket.starts_with("socket:") => Doing::Network,
        device if device.starts_with("/dev/nvidia") => Doing::Gpu,
        // Whoever reads a terminal waits for a person.
        device if device.starts_with("/dev/") => Doing::Other,
        file if file.starts_with('/') => Doing::Storage,
        // Pipes, and what else has no name: the other end is a thread or a process.
        _ => Doing::Threads,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::thread::current_tid;

    /// What a thread in `wait` is seen doing, once it is; the wait ends when `end` is dropped.
    fn seen<T: Send + 'static>(wait: impl FnOnce() + Send + 'static, end: T, wanted: Doing) {
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            send.send(current_tid()).unwrap();
            wait();
        });
        let tid = receive.recv().unwrap();
        let began = Instant::now();
        // A kernel that does not tell cannot be tested.
        let told = std::fs::read_to_string("/proc/self/syscall").is_ok();
        let is_seen = || !told || doing(tid) == Some(wanted);
        while !is_seen() {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", doing(tid));
            thread::sleep(Duration::from_millis(1));
        }
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn waits_are_told_apart() {
        let (send, receive) = mpsc::channel::<()>();
        seen(move || while receive.recv().is_ok() {}, send, Doing::Threads);

        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let peer = server.accept().unwrap();
        seen(move || drop(stream.read(&mut [0])), peer, Doing::Network);

        seen(|| thread::sleep(Duration::from_millis(300)), (), Doing::Sleep);

        let (mut reader, writer) = std::io::pipe().unwrap();
        seen(move || drop(reader.read(&mut [0])), writer, Doing::Threads);

        let (send, receive) = mpsc::channel::<()>();
        let spin = move || while receive.try_recv() == Err(mpsc::TryRecvError::Empty) {};
        seen(spin, send, Doing::Running);
        assert_eq!(doing(i32::MAX), None);
    }
}
