//! Colours: of kinds and of lines, in charts and on the page, by day and by night.

use crate::bottleneck::BottleneckType;

/// Red, green, blue.
pub(crate) type Rgb = [u8; 3];

/// A colour on light and on dark ground.
#[derive(Clone, Copy)]
pub(crate) struct Ink {
    pub(crate) light: Rgb,
    pub(crate) dark: Rgb,
}

const fn ink(light: Rgb, dark: Rgb) -> Ink {
    Ink { light, dark }
}

/// In the order of [`BottleneckType::NAMED`]; told apart by the colour-blind too, as far as eight
/// can be.
const KINDS: [Ink; 8] = [
    ink([0x2f, 0x6f, 0xdf], [0x6b, 0xa1, 0xff]),
    ink([0x0b, 0x80, 0x73], [0x3c, 0xc9, 0xb8]),
    ink([0x7f, 0x56, 0xd9], [0xa9, 0x8b, 0xf5]),
    ink([0xc7, 0x5a, 0x10], [0xf5, 0x9a, 0x55]),
    ink([0x45, 0x7d, 0x22], [0x8c, 0xc4, 0x65]),
    ink([0x96, 0x70, 0x0a], [0xe3, 0xb9, 0x41]),
    ink([0xc1, 0x3f, 0x86], [0xf0, 0x7f, 0xb8]),
    ink([0xc4, 0x3d, 0x3d], [0xf2, 0x7f, 0x7a]),
];

/// Of the program's own kinds, which share these.
const OWN: [Ink; 3] = [
    ink([0x5b, 0x6b, 0x82], [0x9c, 0xaa, 0xbf]),
    ink([0x0b, 0x7c, 0x9b], [0x5b, 0xc3, 0xde]),
    ink([0x86, 0x66, 0x4a], [0xcf, 0xae, 0x90]),
];

/// Of the first line of a panel, the second, and so on.
pub(crate) const LINES: [Ink; 4] = [KINDS[0], KINDS[3], KINDS[1], KINDS[2]];

/// Of `kind`.
pub(crate) fn of(kind: &BottleneckType) -> Ink {
    let place = BottleneckType::NAMED.iter().position(|named| named == kind);
    match (place, kind) {
        (Some(place), _) => KINDS[place],
        (None, BottleneckType::Custom(name)) => OWN[own(name)],
        (None, _) => OWN[0],
    }
}

/// Which of their colours a kind of the program's own has: always the same.
fn own(name: &str) -> usize {
    name.bytes().map(usize::from).sum::<usize>() % OWN.len()
}

/// The page's name of a kind's colour.
pub(crate) fn class(kind: &BottleneckType) -> &'static str {
    match kind {
        BottleneckType::DataLoading => "k-data",
        BottleneckType::Preprocessing => "k-prep",
        BottleneckType::MemoryAllocation => "k-mem",
        BottleneckType::GpuTransfer => "k-gpu",
        BottleneckType::CpuComputation => "k-cpu",
        BottleneckType::IoOperation => "k-io",
        BottleneckType::NetworkLatency => "k-net",
        BottleneckType::Synchronization => "k-sync",
        BottleneckType::Undeclared => "k-own0",
        BottleneckType::Custom(name) => ["k-own0", "k-own1", "k-own2"][own(name)],
    }
}

/// Every colour as a variable of the page: on light ground, or on dark.
pub(crate) fn variables(dark: bool) -> String {
    let kinds = BottleneckType::NAMED.iter().map(|kind| (class(kind).to_owned(), of(kind)));
    let own = OWN.iter().enumerate().map(|(at, ink)| (format!("k-own{at}"), *ink));
    let lines = LINES.iter().enumerate().map(|(at, ink)| (format!("l{at}"), *ink));
    let variables = kinds.chain(own).chain(lines).map(|(name, ink)| {
        let [r, g, b] = if dark { ink.dark } else { ink.light };
        format!("--{name}:#{r:02x}{g:02x}{b:02x};")
    });
    variables.collect()
}
