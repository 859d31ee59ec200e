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
    ink([0x0e, 0x93, 0x84], [0x3c, 0xc9, 0xb8]),
    ink([0x7f, 0x56, 0xd9], [0xa9, 0x8b, 0xf5]),
    ink([0xd9, 0x6b, 0x1e], [0xf5, 0x9a, 0x55]),
    ink([0x4f, 0x8a, 0x2b], [0x8c, 0xc4, 0x65]),
    ink([0xb0, 0x84, 0x0a], [0xe3, 0xb9, 0x41]),
    ink([0xc1, 0x3f, 0x86], [0xf0, 0x7f, 0xb8]),
    ink([0xc4, 0x3d, 0x3d], [0xf2, 0x7f, 0x7a]),
];

/// Of the program's own kinds.
const CUSTOM: Ink = ink([0x64, 0x74, 0x8b], [0x94, 0xa3, 0xb8]);

/// Of the first line of a panel, the second, and so on.
pub(crate) const LINES: [Ink; 4] = [KINDS[0], KINDS[3], KINDS[1], KINDS[2]];

/// Of `kind`.
pub(crate) fn of(kind: &BottleneckType) -> Ink {
    let place = BottleneckType::NAMED.iter().position(|named| named == kind);
    place.map_or(CUSTOM, |place| KINDS[place])
}

/// The page's name of a kind's colour: the program's own kinds share one.
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
        BottleneckType::Custom(_) => "k-own",
    }
}

/// Every colour as a variable of the page: on light ground, or on dark.
pub(crate) fn variables(dark: bool) -> String {
    let own = BottleneckType::Custom(String::new());
    let kinds = BottleneckType::NAMED.iter().chain([&own]);
    let kinds = kinds.map(|kind| (class(kind).to_owned(), of(kind)));
    let lines = LINES.iter().enumerate().map(|(at, ink)| (format!("l{at}"), *ink));
    let variables = kinds.chain(lines).map(|(name, ink)| {
        let [r, g, b] = if dark { ink.dark } else { ink.light };
        format!("--{name}:#{r:02x}{g:02x}{b:02x};")
    });
    variables.collect()
}
