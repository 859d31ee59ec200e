//! What the control groups grant this process: memory and CPU time.
//!
//! A limit may sit on the process's own group or on any group above it, so every level that can
//! be seen is read and the smallest limit wins. Version 1 has a hierarchy for each controller,
//! version 2 one for all, and a machine may mount both: every hierarchy that is mounted is read,
//! for a controller lives in one of them only and its files are missing in the others.
//!
//! Files are read below a root, `/` but for tests.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// What the groups of one process allow; `None` where no group sets a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// CPU seconds per second.
    pub(crate) cores: Option<f64>,
    /// Bytes of memory, page cache included.
    pub(crate) memory_bytes: Option<u64>,
    /// Bytes that may still be allocated: what is left once the page cache has been given up.
    pub(crate) memory_left_bytes: Option<u64>,
}

impl Limits {
    /// The limits of the running process as the files below `root` tell them.
    ///
    /// A file that is missing or cannot be understood sets no limit.
    pub(crate) fn read(root: &Path) -> Self {
        let mut limits = Self::default();
        for group in Group::all(root, "cpu") {
            limits.cores = smaller(limits.cores, group.cores(), f64::min);
        }
        for group in Group::all(root, "memory") {
            let limit = group.memory_limit();
            let left = limit.and_then(|limit| Some(limit.saturating_sub(group.memory_held()?)));
            limits.memory_bytes = smaller(limits.memory_bytes, limit, u64::min);
            limits.memory_left_bytes = smaller(limits.memory_left_bytes, left, u64::min);
        }
        limits
    }
}

/// The group whose memory limit is the smallest.
#[derive(Debug)]
pub(crate) struct MemoryLimit(Group);

impl MemoryLimit {
    /// `None` where no group sets a limit.
    pub(crate) fn find(root: &Path) -> Option<Self> {
        let limited = Group::all(root, "memory")
            .into_iter()
            .filter_map(|group| Some((group.memory_limit()?, group)));
        limited.min_by_key(|(limit, _)| *limit).map(|(_, group)| Self(group))
    }

    /// The limit, and what is held against it: what cannot be given up. Bytes.
    ///
    /// # Errors
    ///
    /// The group's files are gone, or tell no number any more.
    pub(crate) fn read(&self) -> io::Result<(u64, u64)> {
        let figures = || Some((self.0.memory_limit()?, self.0.memory_held()?));
        let lost = || io::Error::other(format!("no memory limit in `{}`", self.0.dir.display()));
        figures().ok_or_else(lost)
    }
}

/// The file that tells for how long tasks of the process's group, or of the nearest above it that
/// tells, were stalled on I/O; `None` where none tells.
pub(crate) fn io_pressure(root: &Path) -> Option<PathBuf> {
    let mut files = Group::all(root, "io").into_iter().map(|group| group.dir.join("io.pressure"));
    files.find(|file| file.exists())
}

fn smaller<T>(a: Option<T>, b: Option<T>, min: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(min(a, b)),
        (a, b) => a.or(b),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    V1,
    V2,
}

/// One level of one hierarchy.
#[derive(Debug)]
struct Group {
    version: Version,
    dir: PathBuf,
}

impl Group {
    /// Every group of the process that may limit `controller`.
    fn all(root: &Path, controller: &str) -> Vec<Self> {
        let text = |file| fs::read_to_string(root.join(file)).unwrap_or_default();
        let (mounts, memberships) = (text("proc/self/mountinfo"), text("proc/self/cgroup"));
        let mut groups = Vec::new();
        for (version, mount_root, mount_point) in
            mounts.lines().filter_map(|line| parse_mount(line, controller))
        {
            let Some(path) =
                memberships.lines().find_map(|line| parse_membership(line, version, controller))
            else {
                continue;
            };
            // A container sees its own group as the mount's root. Where the two paths do not
            // meet, the mount point is all that can be seen of the process's groups.
            let below = Path::new(path).strip_prefix(mount_root).unwrap_or(Path::new(""));
            let outside = below.components().any(|part| part == Component::ParentDir);
            let below = if outside { Path::new("") } else { below };
            let top = root.join(mount_point.trim_start_matches('/'));
            groups.extend(below.ancestors().map(|dir| Self { version, dir: top.join(dir) }));
        }
        groups
    }

    fn cores(&self) -> Option<f64> {
        let (quota, period) = match self.version {
            Version::V1 => (self.number("cpu.cfs_quota_us")?, self.number("cpu.cfs_period_us")?),
            Version::V2 => {
                let text = self.text("cpu.max")?;
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
    }

    fn memory_limit(&self) -> Option<u64> {
        // Version 1 writes "no limit" as the largest multiple of the page size below 2^63.
        const UNLIMITED: u64 = 1 << 62;
        let file = match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        self.number(file).filter(|&bytes| bytes < UNLIMITED)
    }

    /// Bytes in use that are not page cache.
    fn memory_held(&self) -> Option<u64> {
        let (used, cache) = match self.version {
            Version::V1 => ("memory.usage_in_bytes", ["total_active_file", "total_inactive_file"]),
            Version::V2 => ("memory.current", ["active_file", "inactive_file"]),
        };
        let stat = self.text("memory.stat").unwrap_or_default();
        let cached: u64 = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(key, _)| cache.contains(key))
            .filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok())
            .sum();
        Some(self.number(used)?.saturating_sub(cached))
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(file)).ok()
    }

    /// The number in `file`; `None` for `max` and `-1`, which are "no limit".
    fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.trim().parse().ok()
    }
}

/// Version, root within the hierarchy and mount point, if a line of `mountinfo` is a mount of
/// control groups that may hold `controller`.
fn parse_mount<'a>(line: &'a str, controller: &str) -> Option<(Version, &'a str, &'a str)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let version = match file_system.next()? {
        "cgroup2" => Version::V2,
        "cgroup" if file_system.nth(1)?.split(',').any(|name| name == controller) => Version::V1,
        _ => return None,
    };
    Some((version, root, point))
}

/// The path of the process's group, if a line of `/proc/self/cgroup` is about that hierarchy.
fn parse_membership<'a>(line: &'a str, version: Version, controller: &str) -> Option<&'a str> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let ours = match version {
        Version::V1 => controllers.split(',').any(|name| name == controller),
        Version::V2 => controllers.is_empty(),
    };
    ours.then_some(path)
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
