//! Compiles the C++ shim against libtorch's headers, and lets this crate's tests and examples
//! find libtorch without `LD_LIBRARY_PATH`.

#![expect(clippy::expect_used, reason = "a build script has nobody to hand an error to")]

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=src/shim.cpp");
    let lib = std::env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    // The link `.libtorch` stays unresolved: what is built keeps running when it leads elsewhere.
    let lib = PathBuf::from(lib);
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    let include = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .warnings(false)
        .file("src/shim.cpp")
        .compile("loader_shim");
}
