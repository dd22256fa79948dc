//! Safe names for what `torch_ext.cpp` exports. Messages of libtorch come back as [`TchError::Torch`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use tch::{Device, TchError, Tensor};

/// A tensor that libtorch's functions may write to; valid as long as the [`Tensor`] it came from.
type Pointer = *mut c_void;

/// Tensors that are handed to libtorch together, step after step: their pointers are taken once.
pub struct TensorList {
    tensors: Vec<Tensor>,
    pointers: Vec<Pointer>,
}

impl TensorList {
    pub fn new(tensors: Vec<Tensor>) -> TensorList {
        let pointers = tensors.iter().map(pointer).collect();
        TensorList { tensors, pointers }
    }

    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    pub fn len(&self) -> usize {
        self.tensors.len()
    }
}

/// The norm over all gradients, and what they must be divided by to be clipped.
pub struct GradNorm {
    /// A scalar on the gradients' device.
    pub norm: Tensor,
    /// `None` without clipping.
    pub scale: Option<Tensor>,
}

/// The 2-norm over the gradients of `parameters`; nothing is fetched from the device. With `clip`
/// above zero the fused optimizers bring gradients down to that norm by dividing by
/// [`GradNorm::scale`].
pub fn grad_norm(parameters: &TensorList, clip: f64) -> Result<GradNorm, TchError> {
    let mut norm: Pointer = ptr::null_mut();
    let mut scale: Pointer = ptr::null_mut();
    check(unsafe {
        overnight_grad_norm(parameters.pointers.as_ptr(), parameters.len(), clip, &mut norm, &mut scale)
    })?;
    Ok(GradNorm {
        norm: unsafe { Tensor::from_ptr(norm.cast()) },
        scale: (!scale.is_null()).then(|| unsafe { Tensor::from_ptr(scale.cast()) }),
    })
}

/// What one call of [`fused_adamw`] needs beside tensors.
pub struct AdamwNumbers {
    pub lr: f64,
    pub betas: [f64; 2],
    pub eps: f64,
    pub weight_decay: f64,
}

/// One step of AdamW over parameters that share their numbers, the `step`-th counted from 1. The
/// three lists go together by place.
pub fn fused_adamw(
    parameters: &TensorList,
    averages: &TensorList,
    square_averages: &TensorList,
    step: u64,
    numbers: &AdamwNumbers,
    scale: Option<&Tensor>,
) -> Result<(), TchError> {
    check(unsafe {
        overnight_fused_adamw(
            parameters.pointers.as_ptr(),
            averages.pointers.as_ptr(),
            square_averages.pointers.as_ptr(),
            parameters.len(),
            step as i64,
            numbers.lr,
            numbers.betas[0],
            numbers.betas[1],
            numbers.weight_decay,
            numbers.eps,
            scale.map_or(ptr::null_mut(), pointer),
        )
    })
}

/// What one call of [`fused_sgd`] needs beside tensors.
pub struct SgdNumbers {
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub nesterov: bool,
}

/// One step of SGD over parameters that share their numbers. `momenta` start at zero, and are left
/// alone where the momentum is 0.
pub fn fused_sgd(
    parameters: &TensorList,
    momenta: &TensorList,
    numbers: &SgdNumbers,
    scale: Option<&Tensor>,
) -> Result<(), TchError> {
    check(unsafe {
        overnight_fused_sgd(
            parameters.pointers.as_ptr(),
            momenta.pointers.as_ptr(),
            parameters.len(),
            numbers.lr,
            numbers.momentum,
            numbers.weight_decay,
            numbers.nesterov,
            scale.map_or(ptr::null_mut(), pointer),
        )
    })
}

/// Drops all gradients, so that the next backward pass writes instead of adding.
pub fn drop_gradients(parameters: &TensorList) -> Result<(), TchError> {
    check(unsafe { overnight_drop_gradients(parameters.pointers.as_ptr(), parameters.len()) })
}

/// Runs `body` with bf16 where libtorch deems it safe, when `bf16` is set; otherwise as it stands.
pub fn with_autocast<T>(device: Device, bf16: bool, body: impl FnOnce() -> T) -> Result<T, TchError> {
    if !bf16 {
        return Ok(body());
    }
    struct Leave(c_int);
    impl Drop for Leave {
        fn drop(&mut self) {
            // Nothing is left to do about a message here: the thread only turns a switch back.
            let _ = check(unsafe { overnight_leave_bf16(self.0) });
        }
    }
    check(unsafe { overnight_enter_bf16(number(device)) })?;
    let _leave = Leave(number(device));
    Ok(body())
}

/// Seeds the CPU's default generator and, where `device` is another, that device's too.
pub fn seed(device: Device, seed: u64) -> Result<(), TchError> {
    check(unsafe { overnight_seed(number(device), seed) })
}

/// Allows only algorithms that give the same bits each time; one that has no such form is an error.
pub fn set_deterministic(on: bool) -> Result<(), TchError> {
    check(unsafe { overnight_deterministic(on) })
}

/// Loads libtorch's CUDA part, which the linker leaves out. Call it before the first tensor.
pub fn load_cuda() -> Result<(), TchError> {
    check(unsafe { overnight_load_cuda() })
}

/// The most bytes that tensors on a CUDA device held at once; `None` on the CPU.
pub fn peak_memory_bytes(device: Device) -> Option<u64> {
    let Device::Cuda(_) = device else { return None };
    let mut bytes = 0;
    check(unsafe { overnight_peak_memory(number(device), &mut bytes) }).ok()?;
    u64::try_from(bytes).ok()
}

fn pointer(tensor: &Tensor) -> Pointer {
    tensor.as_ptr().cast_mut().cast()
}

/// Devices as `torch_ext.cpp` numbers them.
fn number(device: Device) -> c_int {
    match device {
        Device::Cuda(index) => index as c_int,
        _ => -1,
    }
}

fn check(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    unsafe { overnight_free(message) };
    Err(TchError::Torch(text))
}

unsafe extern "C" {
    fn overnight_free(message: *mut c_char);
    fn overnight_grad_norm(
        parameters: *const Pointer,
        count: usize,
        clip: f64,
        norm: *mut Pointer,
        scale: *mut Pointer,
    ) -> *mut c_char;
    fn overnight_fused_adamw(
        parameters: *const Pointer,
        averages: *const Pointer,
        square_averages: *const Pointer,
        count: usize,
        step: i64,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        scale: Pointer,
    ) -> *mut c_char;
    fn overnight_fused_sgd(
        parameters: *const Pointer,
        momenta: *const Pointer,
        count: usize,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        nesterov: bool,
        scale: Pointer,
    ) -> *mut c_char;
    fn overnight_drop_gradients(parameters: *const Pointer, count: usize) -> *mut c_char;
    fn overnight_enter_bf16(device: c_int) -> *mut c_char;
    fn overnight_leave_bf16(device: c_int) -> *mut c_char;
    fn overnight_seed(device: c_int, seed: u64) -> *mut c_char;
    fn overnight_deterministic(on: bool) -> *mut c_char;
    fn overnight_load_cuda() -> *mut c_char;
    fn overnight_peak_memory(device: c_int, bytes: *mut i64) -> *mut c_char;
}
