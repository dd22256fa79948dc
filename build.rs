//! Compiles `torch_ext.cpp` against libtorch's headers when the worker is built. Without the feature
//! `torch` there is nothing to do. The library path is not written into the binary: `overnight` gives
//! it to the worker at its start, so that both can be copied to another machine.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=src/bin/worker/torch_ext.cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = match env::var_os("LIBTORCH") {
        Some(path) => PathBuf::from(path),
        None => {
            panic!("LIBTORCH is not set (run `make build`, or `export LIBTORCH=$(scripts/libtorch)` first)")
        }
    };
    let include = libtorch.join("include");
    if !include.join("ATen/ATen.h").is_file() {
        panic!(
            "{} holds no libtorch headers (LIBTORCH names libtorch's folder, with include/ and lib/ in it)",
            libtorch.display()
        );
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .pic(true)
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .file("src/bin/worker/torch_ext.cpp")
        // Handed to the worker alone, below: what cc announces would go to the library.
        .cargo_metadata(false)
        .compile("overnight_torch_ext");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let archive = out.join("libovernight_torch_ext.a");
    println!("cargo:rustc-link-arg-bin=overnight-worker={}", archive.display());
}
