//! Ends that no program means to have.

pub fn segfault() -> ! {
    let nowhere = std::ptr::without_provenance_mut::<u8>(16);
    // SAFETY: none is wanted: the first page of memory is nobody's.
    unsafe { nowhere.write_volatile(1) };
    unreachable!("the kernel lets nobody write there")
}

pub fn illegal_instruction() -> ! {
    // SAFETY: none is wanted: this instruction is defined to be undefined.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("ud2", options(noreturn))
    }
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("udf #0", options(noreturn))
    }
}

/// The test takes the file away again.
pub fn fill(path: &std::path::Path) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    // More than the small disk of a test: a real one is left alone.
    for _ in 0..16_384 {
        if file.write_all(&[1; 4096]).is_err() {
            return Ok(());
        }
    }
    Err(std::io::Error::other("this disk takes 64 MiB: it is not the small one of a test"))
}

pub fn eat() -> ! {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, because untouched memory costs nothing.
        eaten.push(vec![1; 1 << 20]);
        assert!(eaten.len() < 4096, "nobody objects to 4 GiB");
    }
}
