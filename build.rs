//! Says which sources the library is built from, so that pages made by other ones are made anew, and
//! compiles `torch_ext.cpp` against libtorch's headers when the worker is built. The library
//! path is not written into the binary: `overnight` gives it to the worker at its start, so that both can
//! be copied to another machine.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=OVERNIGHT_SOURCES={:016x}", sources());
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
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let archive = out.join("libovernight_torch_ext.a");
    println!("cargo:rustc-link-arg-bin=overnight-worker={}", archive.display());
    // This script runs at every change of the library, and its C++ takes long.
    let made_from = made_from(&libtorch);
    let mark = out.join("torch_ext.made-from");
    if archive.is_file() && fs::read_to_string(&mark).is_ok_and(|before| before == made_from) {
        return;
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
    // Without the mark it is compiled again.
    let _ = fs::write(mark, made_from);
}

/// A hash of the library's sources and of the versions it is built with.
fn sources() -> u64 {
    let mut files = Vec::new();
    for part in fs::read_dir("src").expect("the package has its sources").flatten() {
        // The programs are no part of the library.
        if !["bin", "main.rs"].iter().any(|name| part.file_name() == *name) {
            println!("cargo:rerun-if-changed={}", part.path().display());
            found(&part.path(), &mut files);
        }
    }
    for versions in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={versions}");
        files.push(PathBuf::from(versions));
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(&file).unwrap_or_default().hash(&mut hasher);
        file.hash(&mut hasher);
    }
    hasher.finish()
}

fn found(path: &Path, files: &mut Vec<PathBuf>) {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| found(&entry.path(), files)),
        Err(_) => files.push(path.to_path_buf()),
    }
}

/// What the compiled C++ depends on.
fn made_from(libtorch: &Path) -> String {
    let source = fs::read_to_string("src/bin/worker/torch_ext.cpp").unwrap_or_default();
    let version = fs::read_to_string(libtorch.join("build-version")).unwrap_or_default();
    let compiler = ["CXX", "CXXFLAGS"].map(|name| env::var(name).unwrap_or_default());
    format!("{} {version} {compiler:?}\n{source}", libtorch.display())
}
