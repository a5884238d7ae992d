//! What can be read off compiled kernels.

use std::{
    io::{ErrorKind, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use naga::{AddressSpace, Module, proc::Layouter};

/// Bytes of workgroup memory of a module.
pub fn workgroup_bytes(module: &Module) -> usize {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).expect("a valid module has a layout");
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    shared.map(|(_, variable)| layouter[variable.ty].size as usize).sum()
}

/// Bindings of a module.
pub fn bindings(module: &Module) -> usize {
    module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()).count()
}

/// Bytes of threadgroup memory that MSL of CubeCL declares: `threadgroup char name[bytes];`.
pub fn threadgroup_bytes(msl: &str) -> usize {
    let declared =
        msl.lines().filter(|line| line.contains("threadgroup char ") && line.trim_end().ends_with("];"));
    let bytes = |line: &str| line[line.find('[')? + 1..line.find(']')?].parse::<usize>().ok();
    declared.map(|line| bytes(line).unwrap_or_else(|| panic!("no size in {line}"))).sum()
}

/// Whether `word` occurs as a whole identifier.
pub fn has_word(text: &str, word: &str) -> bool {
    words(text).any(|found| found == word)
}

/// Whether an identifier starts with `prefix`.
pub fn has_prefix(text: &str, prefix: &str) -> bool {
    words(text).any(|found| found.starts_with(prefix))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Opcodes and operands of SPIR-V, by its specification.
const OP_CAPABILITY: u32 = 17;
const OP_TYPE_POINTER: u32 = 32;
const OP_DECORATE: u32 = 71;
const ARRAY_STRIDE: u32 = 6;
const WORKGROUP: u32 = 4;

/// Words of a module's header.
const HEADER: usize = 5;

/// The instructions of a module, each with its opcode and words.
fn instructions(words: &[u32]) -> impl Iterator<Item = (u32, &[u32])> {
    let mut rest = words.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&first, length) = (rest.first()?, (*rest.first()? >> 16).max(1) as usize);
        let (instruction, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some((first & 0xffff, instruction))
    })
}

/// Capabilities a module of SPIR-V declares.
pub fn capabilities(words: &[u32]) -> Vec<u32> {
    instructions(words).filter(|(opcode, _)| *opcode == OP_CAPABILITY).map(|(_, words)| words[1]).collect()
}

/// A module without the strides of arrays in shared memory: naga writes them, drivers pass over them, and a later
/// Vulkan forbids them, which hides whatever else is wrong.
pub fn without_shared_strides(words: &[u32]) -> Vec<u32> {
    let pointers = instructions(words).filter(|(opcode, _)| *opcode == OP_TYPE_POINTER);
    let shared: Vec<u32> = pointers.filter(|(_, p)| p[2] == WORKGROUP).map(|(_, p)| p[3]).collect();
    let stride = |opcode, i: &[u32]| opcode == OP_DECORATE && i[2] == ARRAY_STRIDE && shared.contains(&i[1]);
    let kept = instructions(words).filter(|&(opcode, instruction)| !stride(opcode, instruction));
    words[..HEADER].iter().copied().chain(kept.flat_map(|(_, instruction)| instruction.to_vec())).collect()
}

/// Modules that no validator could look at.
static UNSEEN: AtomicUsize = AtomicUsize::new(0);

/// What `spirv-val` says of a module for `environment`; nothing if it is not installed or too old for a capability
/// of the module, which is counted and said once.
pub fn spirv_val(words: &[u32], environment: &str) -> Result<(), String> {
    let command = Command::new("spirv-val")
        .args(["--target-env", environment, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match command {
        Err(error) if error.kind() == ErrorKind::NotFound => return unseen("spirv-val is not installed"),
        started => started.map_err(|error| error.to_string())?,
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    child.stdin.take().expect("a pipe").write_all(&bytes).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    match output.status.success() {
        true => Ok(()),
        false if said.contains("Invalid capability operand") => {
            unseen("spirv-val is too old for a capability")
        }
        false => Err(said),
    }
}

fn unseen(why: &str) -> Result<(), String> {
    if UNSEEN.fetch_add(1, Ordering::Relaxed) == 0 {
        say(why);
    }
    Ok(())
}

/// Says on stderr what was left out.
pub fn say(what: &str) {
    // The harness captures the print macros only, so this line is always seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED validation of SPIR-V: {what}");
}

/// How many modules [`spirv_val`] passed over so far.
pub fn passed_over() -> usize {
    UNSEEN.load(Ordering::Relaxed)
}
