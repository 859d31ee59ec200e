//! The threads of this process: what each used, also of those that ended, as far as it was seen.
//!
//! A reading opens two files for each thread, tens of microseconds, so it is rare: about once a
//! second, and less often with many threads. A thread that lives shorter may never be seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use super::cpu::stat_fields;
use super::source::{Pace, SLOW_S, Tick, named};
use crate::resources::ThreadUsage;
use crate::thread::times_in;

/// Threads that ended and are told one by one; of more, those with the least CPU time are told
/// together.
const MAX_ENDED: usize = 256;

/// Of one thread since it began, or of several together.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu_s: f64,
    run_delay_s: Option<f64>,
    blocked_s: f64,
}

impl Used {
    fn plus(self, other: Self) -> Self {
        Self {
            cpu_s: self.cpu_s + other.cpu_s,
            run_delay_s: self
                .run_delay_s
                .or(other.run_delay_s)
                .map(|_| self.run_delay_s.unwrap_or(0.0) + other.run_delay_s.unwrap_or(0.0)),
            blocked_s: self.blocked_s + other.blocked_s,
        }
    }
}

#[derive(Clone, Debug)]
struct Thread {
    tid: i32,
    name: String,
    /// Tells a thread from a later one of the same number.
    started_ticks: u64,
    used: Used,
    /// What it had used when the session began.
    before: Used,
}

impl Thread {
    fn usage(&self) -> ThreadUsage {
        let delay = |delay: f64| (delay - self.before.run_delay_s.unwrap_or(0.0)).max(0.0);
        ThreadUsage {
            tid: self.tid,
            name: self.name.clone(),
            cpu_s: (self.used.cpu_s - self.before.cpu_s).max(0.0),
            run_delay_s: self.used.run_delay_s.map(delay),
        }
    }
}

/// What all threads waited for since the process began, those that ended unseen left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    /// Ready to run, without a core.
    pub(super) run_delay_s: Option<f64>,
    /// On storage.
    pub(super) blocked_s: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Threads {
    dir: PathBuf,
    pace: Pace,
    first: bool,
    /// Whether the kernel accounts for the time blocked on storage.
    blocked_known: bool,
    live: BTreeMap<i32, Thread>,
    ended: Vec<Thread>,
    /// Those that ended and found no room in `ended`, together.
    others: Option<Thread>,
    lost: Option<String>,
}

impl Threads {
    pub(super) fn open(root: &Path) -> Self {
        const SHARE: Duration = Duration::from_micros(50);
        let accounting = fs::read_to_string(root.join("proc/sys/kernel/task_delayacct"));
        Self {
            dir: root.join("proc/self/task"),
            pace: Pace::new(SHARE, SLOW_S),
            first: true,
            blocked_known: accounting.is_ok_and(|text| text.trim() == "1"),
            live: BTreeMap::new(),
            ended: Vec::new(),
            others: None,
            lost: None,
        }
    }

    /// What they waited for, if they were read now.
    pub(super) fn read(&mut self, tick: Tick) -> Option<Waits> {
        let mut pace = self.pace;
        let read = pace.run(tick, || self.read_now());
        self.pace = pace;
        match read? {
            Ok(waits) => {
                self.lost = None;
                Some(waits)
            }
            Err(error) => {
                self.lost.get_or_insert_with(|| format!("since {:.1} s: {error}", tick.at_s));
                None
            }
        }
    }

    fn read_now(&mut self) -> io::Result<Waits> {
        let entries =
            fs::read_dir(&self.dir).map_err(|error| named(&self.dir.display(), &error))?;
        let mut before = std::mem::take(&mut self.live);
        let mut ended = Vec::new();
        let mut live = BTreeMap::new();
        for entry in entries {
            // One that ends meanwhile is not live any more.
            let Some(mut thread) = entry.ok().and_then(|entry| read_thread(&entry.path())) else {
                continue;
            };
            match before.remove(&thread.tid) {
                Some(known) if known.started_ticks == thread.started_ticks => {
                    thread.before = known.before;
                }
                known => {
                    ended.extend(known);
                    if self.first {
                        thread.before = thread.used;
                    }
                }
            }
            live.insert(thread.tid, thread);
        }
        ended.extend(before.into_values());
        self.first = false;
        self.live = live;
        ended.into_iter().for_each(|thread| self.bury(thread));
        let all = self.all().fold(Used::default(), |sum, thread| sum.plus(thread.used));
        Ok(Waits {
            run_delay_s: all.run_delay_s,
            blocked_s: self.blocked_known.then_some(all.blocked_s),
        })
    }

    fn bury(&mut self, thread: Thread) {
        self.ended.push(thread);
        let spent_s = |thread: &Thread| thread.used.cpu_s - thread.before.cpu_s;
        if self.ended.len() > MAX_ENDED
            && let Some(least) = (0..self.ended.len())
                .min_by(|&a, &b| spent_s(&self.ended[a]).total_cmp(&spent_s(&self.ended[b])))
        {
            let least = self.ended.swap_remove(least);
            let others = self.others.get_or_insert_with(|| Thread {
                tid: 0,
                name: "(ended)".to_owned(),
                started_ticks: 0,
                used: Used::default(),
                before: Used::default(),
            });
            others.used = others.used.plus(least.used);
            others.before = others.before.plus(least.before);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Thread> {
        self.live.values().chain(&self.ended).chain(&self.others)
    }

    /// What each used since the first reading, most CPU time first.
    pub(super) fn usage(&self) -> Vec<ThreadUsage> {
        let mut usage: Vec<_> = self.all().map(Thread::usage).collect();
        usage.sort_by(|a, b| b.cpu_s.total_cmp(&a.cpu_s).then(a.tid.cmp(&b.tid)));
        usage
    }

    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }
}

/// The thread whose folder is `dir`; `None` if it has ended or its files make no sense.
fn read_thread(dir: &Path) -> Option<Thread> {
    let tick_s = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let stat = fs::read(dir.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (name, fields) = stat_fields(&stat)?;
    let number = |field: usize| fields.clone().nth(field - 3)?.parse::<u64>().ok();
    let in_ticks = || Some((number(14)?.saturating_add(number(15)?)) as f64 * tick_s);
    let times = times_in(dir);
    let used = Used {
        cpu_s: times.map(|times| times.cpu_s).or_else(in_ticks)?,
        run_delay_s: times.and_then(|times| times.run_delay_s),
        blocked_s: number(42).unwrap_or(0) as f64 * tick_s,
    };
    Some(Thread {
        tid: dir.file_name()?.to_str()?.parse().ok()?,
        name: name.to_owned(),
        started_ticks: number(22)?,
        used,
        before: Used::default(),
    })
}
