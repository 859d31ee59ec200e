//! Recorded trees of files, each as a machine of its kind shows them.

use std::fs;

use super::*;

const MIB: u64 = 1 << 20;

fn limits(files: &[(&str, &str)]) -> Limits {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Limits::read(root.path())
}

/// Docker and Kubernetes on a version 2 machine: the container's group is the root it sees.
const V2_CONTAINER: [(&str, &str); 2] = [
    ("proc/self/cgroup", "0::/\n"),
    (
        "proc/self/mountinfo",
        "1512 1511 0:31 / /sys/fs/cgroup ro,nosuid,nodev,noexec - cgroup2 cgroup rw,nsdelegate\n",
    ),
];

#[test]
fn nothing_mounted_sets_no_limit() {
    assert_eq!(limits(&[]), Limits::default());
    assert_eq!(limits(&[("proc/self/cgroup", "0::/\n")]), Limits::default());
    assert_eq!(limits(&V2_CONTAINER), Limits::default());
}

#[test]
fn v2_container() {
    let mut files = V2_CONTAINER.to_vec();
    files.extend([
        ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/memory.current", "1073741824\n"),
        (
            "sys/fs/cgroup/memory.stat",
            "anon 536870912\nfile 536870912\ninactive_file 104857600\nactive_file 209715200\n",
        ),
    ]);
    assert_eq!(
        limits(&files),
        Limits {
            cores: Some(1.5),
            memory_bytes: Some(2048 * MIB),
            memory_left_bytes: Some((2048 - (1024 - 100 - 200)) * MIB),
        }
    );
}

#[test]
fn v2_max_is_no_limit() {
    let mut files = V2_CONTAINER.to_vec();
    files.extend([
        ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/memory.max", "max\n"),
        ("sys/fs/cgroup/memory.current", "1073741824\n"),
    ]);
    assert_eq!(limits(&files), Limits::default());
}

#[test]
fn v2_takes_the_smallest_of_nested_limits() {
    let group = "sys/fs/cgroup/user.slice/job.scope";
    let limits = limits(&[
        ("proc/self/cgroup", "0::/user.slice/job.scope\n"),
        ("proc/self/mountinfo", "24 22 0:31 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"),
        (&format!("{group}/cpu.max"), "400000 100000\n"),
        (&format!("{group}/memory.max"), "1073741824\n"),
        (&format!("{group}/memory.current"), "104857600\n"),
        ("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n"),
        ("sys/fs/cgroup/user.slice/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/user.slice/memory.current", "2042626048\n"),
        ("sys/fs/cgroup/other.slice/memory.max", "1\n"),
    ]);
    // The own group is the smaller one, the group above it is the fuller one.
    assert_eq!(
        limits,
        Limits {
            cores: Some(0.5),
            memory_bytes: Some(1024 * MIB),
            memory_left_bytes: Some(100 * MIB),
        }
    );
}

#[test]
fn v1_container_sees_its_group_as_the_root_of_the_mount() {
    let limits = limits(&[
        ("proc/self/cgroup", "5:cpu,cpuacct:/docker/ab12\n4:memory:/docker/ab12\n0::/system\n"),
        (
            "proc/self/mountinfo",
            "40 39 0:30 /docker/ab12 /sys/fs/cgroup/cpu,cpuacct ro master:1 - cgroup cgroup \
             rw,cpu,cpuacct\n\
             41 39 0:31 /docker/ab12 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        ),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "209715200\n"),
        (
            "sys/fs/cgroup/memory/memory.stat",
            "inactive_file 1\ntotal_inactive_file 52428800\ntotal_active_file 52428800\n",
        ),
    ]);
    assert_eq!(
        limits,
        Limits {
            cores: Some(2.5),
            memory_bytes: Some(512 * MIB),
            memory_left_bytes: Some((512 - 100) * MIB),
        }
    );
}

#[test]
fn v1_beside_v2_and_no_limit_but_on_the_group_above() {
    let limits = limits(&[
        ("proc/self/cgroup", "4:memory:/jobs/7\n2:cpuacct:/\n1:cpu:/jobs\n0::/\n"),
        (
            "proc/self/mountinfo",
            "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
             33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        ),
        ("sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "1073741824\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ]);
    assert_eq!(
        limits,
        Limits { cores: None, memory_bytes: Some(1024 * MIB), memory_left_bytes: None }
    );
}

#[test]
fn a_group_outside_the_namespace_leaves_the_mount_point() {
    let limits = limits(&[
        ("proc/self/cgroup", "0::/../elsewhere\n"),
        ("proc/self/mountinfo", "24 22 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("sys/fs/cgroup/cpu.max", "100000 100000\n"),
        ("sys/fs/elsewhere/cpu.max", "1000 100000\n"),
    ]);
    assert_eq!(limits.cores, Some(1.0));
}

#[test]
fn files_that_make_no_sense_set_no_limit() {
    let mut files = V2_CONTAINER.to_vec();
    files.extend([
        ("sys/fs/cgroup/cpu.max", "100000\n"),
        ("sys/fs/cgroup/memory.max", "lots\n"),
        ("sys/fs/cgroup/memory.current", "\n"),
    ]);
    assert_eq!(limits(&files), Limits::default());
    files.push(("sys/fs/cgroup/cpu.max", "0 0\n"));
    assert_eq!(limits(&files).cores, None);
}
