//! Writing checkpoints so that they are complete or absent, and reading back the newest one that is
//! whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use overnight::run_dir::checkpoint::{self as layout, CheckpointDir, State};
use overnight::run_dir::write::{at, make_folder, sync_folder};
use overnight::run_dir::{PROTOCOL, ReadError, RunDir, read, step_of};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::Failure;
use crate::step::Learner;
use crate::task::ModelTensor;
use crate::weights;

/// Why a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The settings ask for it at this step; its weights are part of the run's history.
    Planned,
    /// The run was asked to end. Had it not been, there would be none, so the history is left alone.
    Interruption,
}

/// Writes the checkpoint of `state.step`: under another name first, synced, then renamed. Fills in the
/// hashes of `state`. Gives its size in bytes.
///
/// # Errors
/// It cannot be written; whatever was there before is still there.
pub fn save(run: &RunDir, learner: &Learner, state: &mut State, occasion: Occasion) -> Result<u64, Failure> {
    let model = serialized(model_tensors(learner))?;
    let optimizer = serialized(learner.optimizer.tensors())?;
    state.model_hash = blake3::hash(&model).to_hex().to_string();
    state.optimizer_hash = blake3::hash(&optimizer).to_hex().to_string();
    if occasion == Occasion::Planned {
        state.history = layout::chained(&state.history, state.model_hash.as_bytes());
    }
    let state_json = serde_json::to_vec_pretty(state).map_err(io::Error::from)?;

    let folder = run.checkpoints();
    make_folder(&folder)?;
    let temporary =
        tempfile::Builder::new().prefix(".new-").tempdir_in(&folder).map_err(|error| at(&folder, error))?;
    let new = CheckpointDir::new(temporary.path());
    write_synced(&new.model(), &model)?;
    write_synced(&new.optimizer(), &optimizer)?;
    write_synced(&new.state(), &state_json)?;
    readable_like(temporary.path(), &folder)?;
    sync_folder(temporary.path())?;
    put_in_place(temporary.path(), run.checkpoint(state.step).path())?;
    sync_folder(&folder)?;
    Ok((model.len() + optimizer.len() + state_json.len()) as u64)
}

/// Deletes what [`layout::superfluous`] names. Newer checkpoints than `state.step` are not looked at.
pub fn prune(run: &RunDir, keep: u32, best: Option<u64>) -> io::Result<()> {
    for step in layout::superfluous(&layout::steps(run), keep as usize, best) {
        remove(run.checkpoint(step).path())?;
    }
    Ok(())
}

/// What was found when looking for a checkpoint to go on from.
pub struct Found {
    /// The state that the learner now has; `None` when it starts from the beginning.
    pub state: Option<State>,
    /// A sentence for each checkpoint that was set aside.
    pub damaged: Vec<String>,
    /// What it begins with, where it starts from the beginning with weights of another run.
    pub begins: Option<String>,
}

/// Loads the newest whole checkpoint of step `newest` or before into the learner; without one, the weights
/// that the run begins with, where those are another run's. Damaged ones are renamed out of the way. Nothing newer is touched.
///
/// # Errors
/// A whole checkpoint does not fit the model: it is another run's, or the settings were changed. Or one
/// cannot be read at the moment, which says nothing about it.
pub fn load_newest(run: &RunDir, learner: &Learner, newest: Option<u64>) -> Result<Found, Failure> {
    let mut found = Found { state: None, damaged: Vec::new(), begins: None };
    for step in layout::steps(run).into_iter().rev().filter(|step| Some(*step) <= newest) {
        let checkpoint = run.checkpoint(step);
        match whole(&checkpoint, step) {
            Ok(whole) => {
                found.state = Some(whole.put_into(learner, &checkpoint)?);
                return Ok(found);
            }
            Err(Unusable::Unread(failure)) => return Err(failure),
            Err(Unusable::Damaged(why)) => {
                let aside = checkpoint.damaged();
                remove(&aside)?;
                fs::rename(checkpoint.path(), &aside).map_err(|error| at(&aside, error))?;
                found.damaged.push(format!(
                    "checkpoint of step {step} is damaged: {why}; it was set aside as {}",
                    aside.file_name().unwrap_or_default().to_string_lossy()
                ));
            }
        }
    }
    found.begins = weights::begin(run, learner)?;
    Ok(found)
}

/// Deletes checkpoints and samples of steps after `step`: the run goes on from there, and they belong
/// to a future that will be written again. Also what a worker that was killed had half written.
pub fn forget_after(run: &RunDir, step: u64) -> io::Result<()> {
    for folder in [run.path().to_owned(), run.samples(), run.checkpoints()] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let overtaken = step_of(&name).is_some_and(|later| later > step) && !name.ends_with(".damaged");
            if overtaken || name.starts_with(".new-") {
                remove(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Files of a checkpoint whose hashes agree with its state.
struct Whole {
    state: State,
    model: Vec<u8>,
    optimizer: Vec<u8>,
}

/// Why a checkpoint is not gone on from.
enum Unusable {
    /// It is not what was written; in words for a person.
    Damaged(String),
    /// The disk did not give it, which may pass.
    Unread(Failure),
}

/// Copies the weights of the checkpoint of `step` into `tensors`, and touches nothing else.
///
/// # Errors
/// There is no such checkpoint, it is damaged, or its tensors are others.
pub fn load_weights(run: &RunDir, step: u64, tensors: &[ModelTensor]) -> Result<(), Failure> {
    let checkpoint = run.checkpoint(step);
    let read = || {
        let state = state(&checkpoint, step)?;
        verified(&checkpoint.model(), &state.model_hash)
    };
    let bytes = read().map_err(|unusable| match unusable {
        Unusable::Unread(failure) => failure,
        Unusable::Damaged(why) => Failure::Checkpoint(format!(
            "the checkpoint of step {step} cannot be used: {why} (choose another)"
        )),
    })?;
    let tensors = tensors.iter().map(|member| (member.name.clone(), member.tensor.shallow_clone())).collect();
    put(&bytes, &checkpoint.model(), tensors)
}

/// Reads and verifies one checkpoint.
fn whole(checkpoint: &CheckpointDir, step: u64) -> Result<Whole, Unusable> {
    let state = state(checkpoint, step)?;
    let model = verified(&checkpoint.model(), &state.model_hash)?;
    let optimizer = verified(&checkpoint.optimizer(), &state.optimizer_hash)?;
    Ok(Whole { state, model, optimizer })
}

fn state(checkpoint: &CheckpointDir, step: u64) -> Result<State, Unusable> {
    let path = checkpoint.state();
    let state: State = read::json(&path).map_err(|error| match error {
        ReadError::Io { error, .. } => unread(&path, &error),
        damaged => Unusable::Damaged(damaged.to_string()),
    })?;
    if (state.protocol, state.step) != (PROTOCOL, step) {
        let (step, protocol) = (state.step, state.protocol);
        return Err(Unusable::Damaged(format!("its state is of step {step} and protocol {protocol}")));
    }
    Ok(state)
}

/// The bytes of a file that has this hash.
fn verified(path: &Path, hash: &str) -> Result<Vec<u8>, Unusable> {
    let bytes = fs::read(path).map_err(|error| unread(path, &error))?;
    if blake3::hash(&bytes).to_hex().as_str() == hash {
        Ok(bytes)
    } else {
        Err(Unusable::Damaged(format!("{} does not have the hash in its state", path.display())))
    }
}

/// A file that is missing, or is no file, is damage; anything else may be as it should be.
fn unread(path: &Path, error: &io::Error) -> Unusable {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound};
    let words = format!("{}: {error}", path.display());
    match error.kind() {
        NotFound | IsADirectory | NotADirectory | InvalidInput => Unusable::Damaged(words),
        _ => Unusable::Unread(Failure::Checkpoint(format!(
            "{words} (the checkpoint may be whole: make it readable, then start the run again)"
        ))),
    }
}

impl Whole {
    fn put_into(self, learner: &Learner, checkpoint: &CheckpointDir) -> Result<State, Failure> {
        for (bytes, path, tensors) in [
            (&self.model, checkpoint.model(), model_tensors(learner)),
            (&self.optimizer, checkpoint.optimizer(), learner.optimizer.tensors()),
        ] {
            put(bytes, &path, tensors)?;
        }
        Ok(self.state)
    }
}

/// Copies all tensors of a file, which are these and no others.
fn put(bytes: &[u8], path: &Path, tensors: Vec<(String, Tensor)>) -> Result<(), Failure> {
    let misfit = |why: String| {
        let path = path.display();
        Failure::Checkpoint(format!(
            "{path}: {why} (a checkpoint of another run or of changed settings; remove it)"
        ))
    };
    let file = SafeTensors::deserialize(bytes).map_err(|error| misfit(error.to_string()))?;
    if file.len() != tensors.len() {
        return Err(misfit(format!("holds {} tensors, this run has {}", file.len(), tensors.len())));
    }
    for (name, tensor) in tensors {
        copy_into(&file, &name, &tensor, &misfit)?;
    }
    Ok(())
}

/// Copies the tensor of this name out of the file; `misfit` says what is wrong with it.
pub fn copy_into(
    file: &SafeTensors,
    name: &str,
    tensor: &Tensor,
    misfit: &dyn Fn(String) -> Failure,
) -> Result<(), Failure> {
    let view = file.tensor(name).map_err(|error| misfit(error.to_string()))?;
    let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
    if shape != tensor.size() {
        return Err(misfit(format!("{name} is {shape:?} there and {:?} here", tensor.size())));
    }
    let kind = kind(view.dtype()).ok_or_else(|| misfit(format!("{name} is of type {:?}", view.dtype())))?;
    let source = Tensor::f_from_data_size(view.data(), &shape, kind)?;
    tch::no_grad(|| tensor.shallow_clone().f_copy_(&source))?;
    Ok(())
}

fn model_tensors(learner: &Learner) -> Vec<(String, Tensor)> {
    learner.model.iter().map(|member| (member.name.clone(), member.tensor.shallow_clone())).collect()
}

/// A safetensors file in memory. `format` is what Python's libraries look for.
fn serialized(tensors: Vec<(String, Tensor)>) -> Result<Vec<u8>, Failure> {
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let tensor = tensor.detach().f_to_device(Device::Cpu)?.f_contiguous()?;
        let dtype = dtype(tensor.kind()).ok_or_else(|| {
            TchError::Convert(format!("{name} is of a type that safetensors has no name for"))
        })?;
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
        parts.push((name, dtype, shape, bytes));
    }
    let mut views = BTreeMap::new();
    for (name, dtype, shape, bytes) in &parts {
        let view = TensorView::new(*dtype, shape.clone(), bytes)
            .map_err(|error| TchError::Convert(error.to_string()))?;
        views.insert(name, view);
    }
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    safetensors::serialize(views, metadata)
        .map_err(|error| Failure::Torch(TchError::Convert(error.to_string())))
}

/// The number types that weights and their averages come in.
const KINDS: [(Kind, Dtype); 6] = [
    (Kind::Float, Dtype::F32),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Half, Dtype::F16),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Uint8, Dtype::U8),
];

fn dtype(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(ours, _)| *ours == kind).map(|(_, theirs)| *theirs)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, theirs)| *theirs == dtype).map(|(ours, _)| *ours)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path).map_err(|error| at(path, error))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| at(path, error))
}

/// Temporary folders are private; what lands here is as readable as the folder around it.
fn readable_like(path: &Path, model: &Path) -> io::Result<()> {
    let permissions = fs::metadata(model).map_err(|error| at(model, error))?.permissions();
    fs::set_permissions(path, permissions).map_err(|error| at(path, error))
}

/// Renames `new` to `path`. What was there is exchanged and then deleted with the temporary folder, so
/// that there is a whole checkpoint under that name at every moment.
fn put_in_place(new: &Path, path: &Path) -> io::Result<()> {
    let flags = if path.exists() { RenameFlags::EXCHANGE } else { RenameFlags::empty() };
    match renameat_with(CWD, new, CWD, path, flags) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if path.exists() => {
            // A file system that cannot exchange: the older checkpoint is all there is for a moment.
            remove(path)?;
            fs::rename(new, path).map_err(|error| at(path, error))
        }
        result => result.map_err(|errno| at(path, errno.into())),
    }
}

/// Removes a file or a folder that may not be there.
fn remove(path: &Path) -> io::Result<()> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path, error)),
        _ => Ok(()),
    }
}
