//! What stands in files of each format: put elsewhere, it may mean something there.

use crate::formats::Format;

/// The words of a format.
#[rustfmt::skip]
pub(crate) fn words(format: Format) -> &'static [&'static [u8]] {
    match format {
        Format::Jpeg => &[
            b"\xFF\xC0", b"\xFF\xC1", b"\xFF\xC2", b"\xFF\xC3", b"\xFF\xC9", b"\xFF\xCA",
            b"\xFF\xC4", b"\xFF\xCC", b"\xFF\xD0", b"\xFF\xD3", b"\xFF\xD7", b"\xFF\xD8",
            b"\xFF\xD9", b"\xFF\xDA", b"\xFF\xDB", b"\xFF\xDC\0\x04\0\x10",
            b"\xFF\xDD\0\x04\0\x01", b"\xFF\0", b"\xFF\xFF", b"\xFF\xE1", b"Exif\0\0II*\0",
            b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x02", b"\0\x0C\x03\x01\0\x02\x11\x03\x11\0\x3F\0",
            b"\x22", b"\x44", b"\x11\x01",
        ],
        Format::Png => &[
            b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"tEXt",
            b"eXIf", b"acTL", b"fcTL", b"fdAT", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs",
            b"bKGD", b"\0\0\0\0IEND\xAE\x42\x60\x82", b"\x10\x06\0\0\x01", b"\x01\x03\0\0\0",
            b"\x78\x9C",
        ],
        Format::WebP => &[
            b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP",
            b"EXIF", b"XMP ", b"\x9D\x01\x2A", b"\x2F", b"\xFF\x3F\xFF\x3F", b"\x12\0\0\0",
            b"\x02\0\0\0",
        ],
        Format::Bmp => &[
            b"BM", b"\x0C\0\0\0", b"\x28\0\0\0", b"\x6C\0\0\0", b"\x7C\0\0\0", b"\x01\0\x01\0",
            b"\x01\0\x04\0", b"\x01\0\x08\0", b"\x01\0\x10\0", b"\x01\0\x20\0", b"\x01\0\0\0",
            b"\x02\0\0\0", b"\x03\0\0\0", b"\x06\0\0\0", b"\0\0", b"\0\x01", b"\0\x02\xFF\xFF",
        ],
        Format::Npy => &[
            b"\x93NUMPY\x01\0", b"\x93NUMPY\x02\0", b"\x03\0", b"'descr'", b"'fortran_order'",
            b"'shape'", b"True", b"False", b"(", b")", b"{", b"}", b",", b"'", b"\"", b":", b"[",
            b"L", b"'<f4'", b"'|b1'", b"'>i8'", b"'<c16'", b"()", b"(3,)", b"(0,)", b"\xC3\xA9",
            b"\xE2\x82\xAC", b"18446744073709551615", b"4294967296", b"'<f8', 'shape': (1, ",
        ],
        Format::Safetensors => &[
            b"{", b"}", b"[", b"]", b",", b":", b"\"", b"\\", b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            b"{\"a\":{\"a\":{\"a\":{\"a\":", b"\"__metadata__\":{\"a\":\"b\"},", b"\"dtype\"",
            b"\"shape\"", b"\"data_offsets\"", b"\"F32\"", b"\"BOOL\"", b"\"F8_E5M2\"", b"\"F4\"",
            b"[0,0]", b"[]", b"null", b"1e400", b"-0", b"0.5", b"\\u0000", b"\\ud800", b"\xC3\xA9",
            b"18446744073709551615", b"9223372036854775808",
        ],
        Format::Tokens => &[
            b"\0\0", b"\xFF\xFF", b"\0\0\0\x80", b"\xFF\xFF\xFF\x7F",
        ],
        Format::Idx | Format::Gzip => &[
            b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0D\x03", b"\0\0\0\0", b"\xFF\xFF\xFF\xFF",
            b"\0\x01\0\0", b"\x1F\x8B\x08\0", b"\0\0\xFF\xFF",
        ],
        Format::Tar => &[
            b"ustar\x0000", b"ustar  \0", b"././@LongLink", b"0", b"1", b"5", b"7", b"L", b"K",
            b"x", b"g", b"S", b"V", b"X", b"\0", b"path=", b"size=",
            b"30 path=abcdefghijklmno.cls\n", b"12 size=999\n", b"30 size=18446744073709551615\n",
            b"20 GNU.sparse.x=1\n", b".cls", b".png", b".json", b"{\"label\":", b"/", b"..",
            b"__meta__/", b"\x80\0\0\0\0\0\0\0\0\0\0\0",
        ],
    }
}
