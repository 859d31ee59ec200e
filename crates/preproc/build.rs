//! Lets the program and the tests find libtorch without `LD_LIBRARY_PATH`.

fn main() {
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        // The link `.libtorch` stays unresolved: the program keeps running when it leads elsewhere.
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
