//! Memory that is short, that grows, that is taken and given back all the time.

use super::episodes::{Band, Seen};
use super::{Rates, Rule, Worst, size};
use crate::bottleneck::BottleneckType;
use crate::faults;
use crate::resources::{MemorySample, ResourceSample};

/// What is held of the limit that applies.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    used: f64,
    limit: f64,
    resident: f64,
    /// Whether the limit is the control groups', else the machine's memory.
    of_group: bool,
}

impl Held {
    fn of(memory: &MemorySample) -> Option<Self> {
        let resident = memory.resident_bytes as f64;
        if let Some(limit) = memory.limit_bytes.filter(|&limit| limit > 0) {
            let used = memory.limit_used_bytes.map_or(resident, |used| used as f64);
            return Some(Self { used, limit: limit as f64, resident, of_group: true });
        }
        let limit = memory.system_total_bytes.filter(|&total| total > 0)? as f64;
        let used = memory.system_used_percent.map_or(resident, |used| 0.01 * used * limit);
        Some(Self { used, limit, resident, of_group: false })
    }

    fn whose(&self) -> &'static str {
        if self.of_group { "the control group's limit" } else { "the machine's memory" }
    }
}

/// What to do where `over` bytes are too many and this process holds `held`; nothing if it does
/// not hold as much. `what` names the memory.
pub(super) fn smaller_batches(what: &str, over: f64, held: f64) -> Vec<String> {
    if over >= held {
        return Vec::new();
    }
    let share = (100.0 * over / held).max(0.0).ceil();
    vec![
        format!(
            "reduce the batch size: {what} must shrink by {}, {share:.0}% of what this process \
             holds there, so batches {share:.0}% smaller do it if all of that grows with the batch",
            size(over)
        ),
        format!(
            "use gradient checkpointing: activations are computed again in place of kept; {} of \
             them must go",
            size(over)
        ),
        format!(
            "use mixed precision: 16-bit values take half of the room of 32-bit ones, at most {} \
             less",
            size(0.5 * held)
        ),
    ]
}

/// Memory over its threshold.
#[derive(Debug)]
pub(super) struct HighMemory {
    threshold: f64,
    worst: Worst<Held>,
}

impl HighMemory {
    pub(super) fn new(threshold: f64) -> Self {
        Self { threshold, worst: Worst::default() }
    }
}

impl Rule for HighMemory {
    fn name(&self) -> &'static str {
        "high_memory_usage"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::MemoryAllocation
    }

    fn band(&self) -> Band {
        Band::new(self.threshold, 1.0)
    }

    fn look(&mut self, sample: &ResourceSample, dt_s: f64) -> Option<Seen> {
        let held = Held::of(sample.memory.as_ref()?)?;
        let value = held.used / held.limit;
        self.worst.see(value, held);
        Some(Seen { span_s: dt_s, value })
    }

    fn costs_time(&self) -> bool {
        false
    }

    fn cause(&self) -> String {
        let held = self.worst.figures;
        format!(
            "at its highest {} of {}, {}, was held ({:.0}%), {} of it resident in this process",
            size(held.used),
            held.whose(),
            size(held.limit),
            100.0 * self.worst.value,
            size(held.resident.min(held.used)),
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let held = self.worst.figures;
        let over = held.used - self.threshold * held.limit;
        let others = held.used - held.resident;
        let not_ours = (others > held.resident || over >= held.resident).then(|| {
            format!(
                "end other programs, or run elsewhere: they hold {} of the {} in use, and {} are \
                 too many",
                size(others),
                size(held.used),
                size(over)
            )
        });
        not_ours.into_iter().chain(smaller_batches("memory", over, held.resident)).collect()
    }
}

/// Resident memory in one stretch of time.
#[derive(Clone, Copy, Debug)]
struct Block {
    seconds: f64,
    lowest: f64,
    highest: f64,
}

impl Block {
    fn with(self, later: Self) -> Self {
        Self {
            seconds: self.seconds + later.seconds,
            lowest: self.lowest.min(later.lowest),
            highest: self.highest.max(later.highest),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Grown {
    bytes: f64,
    seconds: f64,
    /// Under the limit, at the end.
    room: Option<f64>,
}

/// Memory that grows steadily, as a leak does.
///
/// The session is cut into 8 to 16 even blocks, two of which become one when there are more. It
/// grows if the lowest resident size rose over the last 8, half of the session or more: in 6 of
/// the 7 steps, never back by over a fifth of it all, in the later half at least half as much as in
/// the earlier one, and in all by 64 MB, by 5% and by more than it goes up and down within a block.
/// Once found, half of all that is enough. What is given back before the end was no leak.
#[derive(Debug, Default)]
pub(super) struct Growth {
    blocks: Vec<Block>,
    open: Option<Block>,
    block_s: f64,
    active: bool,
    grown: Grown,
}

impl Growth {
    const WATCHED: usize = 8;
    /// 8 of them are the shortest time in which growth is called steady.
    const FIRST_BLOCK_S: f64 = 4.0;

    /// Takes a complete block.
    fn push(&mut self, block: Block) {
        self.blocks.push(block);
        if self.blocks.len() == 2 * Self::WATCHED {
            self.blocks = self.blocks.chunks(2).map(|pair| pair[0].with(pair[1])).collect();
            self.block_s *= 2.0;
        }
    }

    fn grown(&self) -> Option<Grown> {
        const LEAST_BYTES: f64 = 64.0 * (1 << 20) as f64;
        const LEAST_SHARE: f64 = 0.05;
        let watched = self.blocks.last_chunk::<{ Self::WATCHED }>()?;
        let lowest = watched.map(|block| block.lowest);
        let bytes = lowest[7] - lowest[0];
        let (early, late) = (lowest[3] - lowest[0], lowest[7] - lowest[4]);
        let rises = lowest.windows(2).filter(|pair| pair[1] > pair[0]).count();
        let swing: f64 = watched.iter().map(|b| b.highest - b.lowest).sum::<f64>() / 8.0;
        let fall = lowest.windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max);
        let (least_rises, strict) = if self.active { (5, 0.5) } else { (6, 1.0) };
        let steady = rises >= least_rises
            && strict * fall <= 0.2 * bytes
            && late >= strict * 0.5 * early
            && bytes > strict * LEAST_BYTES.max(LEAST_SHARE * lowest[0]).max(swing);
        let seconds = watched.iter().map(|block| block.seconds).sum();
        steady.then_some(Grown { bytes, seconds, room: None })
    }
}

impl Rule for Growth {
    fn name(&self) -> &'static str {
        "memory_growth"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::MemoryAllocation
    }

    fn band(&self) -> Band {
        Band::new(0.0, 1.0)
    }

    fn look(&mut self, sample: &ResourceSample, dt_s: f64) -> Option<Seen> {
        let memory = sample.memory.as_ref()?;
        let resident = memory.resident_bytes as f64;
        let now = Block { seconds: dt_s, lowest: resident, highest: resident };
        let open = self.open.map_or(now, |open| open.with(now));
        self.open = Some(open);
        self.block_s = self.block_s.max(Self::FIRST_BLOCK_S);
        if open.seconds < self.block_s {
            return None;
        }
        self.open = None;
        self.push(open);
        let Some(grown) = self.grown() else {
            self.active = false;
            return Some(Seen { span_s: open.seconds, value: f64::NEG_INFINITY });
        };
        let room = Held::of(memory).map(|held| (held.limit - held.used).max(0.0));
        self.grown = Grown { room, ..grown };
        // The stretch in which it was found belongs to it.
        let span_s = if self.active { open.seconds } else { grown.seconds };
        self.active = true;
        let value = room.map_or(0.5, |room| grown.bytes / (grown.bytes + room));
        Some(Seen { span_s, value })
    }

    fn must_last(&self) -> bool {
        true
    }

    fn cause(&self) -> String {
        let Grown { bytes, seconds, room } = self.grown;
        let rate = bytes / seconds.max(1e-9);
        let left = room.map(|room| {
            format!("; at that rate the {} that are left last {:.0} min", size(room), {
                room / rate.max(1e-9) / 60.0
            })
        });
        format!(
            "resident memory grew steadily by {} in {seconds:.0} s, {} a minute{}",
            size(bytes),
            size(60.0 * rate),
            left.unwrap_or_default()
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let Grown { bytes, seconds, .. } = self.grown;
        let rate = size(60.0 * bytes / seconds.max(1e-9));
        vec![
            format!(
                "look for what is kept from step to step: results with their graphs, lists that \
                 are only added to, caches without a bound; they take {rate} a minute"
            ),
            format!(
                "if it is a cache that fills, give it a bound: {} went in within {seconds:.0} s",
                size(bytes)
            ),
        ]
    }
}

/// Memory taken from the kernel and given back all the time, by what page faults cost, see
/// [`faults`].
#[derive(Debug, Default)]
pub(super) struct Churn {
    rates: Rates<3>,
    worst: Worst<Churned>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Churned {
    faults_per_s: f64,
    kernel_share: f64,
}

impl Churn {
    const SHARE: f64 = 0.2;
    const WORST_SHARE: f64 = 0.6;
    /// A process that hardly runs has nothing to gain.
    const LEAST_CORES: f64 = 0.1;
}

impl Rule for Churn {
    fn name(&self) -> &'static str {
        "allocation_churn"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::MemoryAllocation
    }

    fn band(&self) -> Band {
        Band::new(Self::SHARE, Self::WORST_SHARE)
    }

    fn look(&mut self, sample: &ResourceSample, _: f64) -> Option<Seen> {
        let counters = sample
            .cpu
            .as_ref()
            .and_then(|cpu| Some([cpu.process_cpu_s, cpu.kernel_cpu_s?, cpu.minor_faults? as f64]));
        let (span_s, [cpu, kernel, faults_per_s]) = self.rates.over(sample.at_s, counters)?;
        if cpu < Self::LEAST_CORES {
            return Some(Seen { span_s, value: 0.0 });
        }
        let value = faults::share_of_cpu(faults_per_s, kernel, cpu);
        self.worst.see(value, Churned { faults_per_s, kernel_share: kernel / cpu });
        Some(Seen { span_s, value })
    }

    fn skip(&mut self) {
        self.rates.skip();
    }

    fn cause(&self) -> String {
        let Churned { faults_per_s, kernel_share } = self.worst.figures;
        format!(
            "{faults_per_s:.0} page faults a second without I/O, and {:.0}% of the CPU time in the \
             kernel: about {:.0}% of the CPU time goes on memory that is taken from the kernel \
             again and again",
            100.0 * kernel_share.min(1.0),
            100.0 * self.worst.value
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let page = rustix::param::page_size() as f64;
        let fresh = size(self.worst.figures.faults_per_s * page);
        vec![
            format!(
                "use large buffers again in place of freeing them: {fresh} of fresh memory a second are asked for"
            ),
            "keep freed memory in the process: with glibc set MALLOC_TRIM_THRESHOLD_ and \
             MALLOC_MMAP_THRESHOLD_ above the size of a batch, or use mimalloc or jemalloc"
                .to_owned(),
            "use transparent huge pages (madvise): one fault brings 2 MB in place of 4 KB"
                .to_owned(),
        ]
    }
}
