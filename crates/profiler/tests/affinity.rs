//! The affinity mask, in a process of its own because it is narrowed here.

use profiler::machine::usable_cores;
use rustix::process::getpid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[test]
fn usable_cores_follow_the_affinity_mask() {
    let all = sched_getaffinity(Some(getpid())).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|&core| all.is_set(core)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);

    // A pinned worker, here the thread of the test, leaves the process as it was.
    let before = usable_cores();
    sched_setaffinity(None, &one).unwrap();
    assert_eq!(usable_cores(), before);

    sched_setaffinity(Some(getpid()), &one).unwrap();
    assert_eq!(usable_cores(), before.min(1.0));
}
