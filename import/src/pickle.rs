//! A pickle machine that can build containers and tensor descriptions, and nothing else.
//!
//! It runs no code: the only callables are an ordered dict's constructor and the two functions that describe a
//! tensor. Values live in an arena and refer to each other by index, so neither cycles nor depth can exhaust the
//! machine's own stack.

use std::{collections::HashMap, sync::Arc};

/// Bytes of pickle, and entries of stack, memo and arena, that are accepted. The largest Wan checkpoint (a transformer)
/// has under 1,200 tensors of about 200 bytes and 30 objects each. Together they bound what a hostile pickle can hold.
const MAX_PICKLE: usize = 4 << 20;
const MAX_ENTRIES: usize = 1 << 17;
/// Values in all tuples, lists and dicts together.
const MAX_VALUES: usize = 1 << 20;
/// Longest name of a class or a storage, in bytes. Each use of one looks at all of it.
const MAX_NAME: usize = 1 << 8;

/// A value; containers and text live in the [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Object(usize),
}

/// What an index of the arena stands for. Text is shared: a pickle of a few bytes can name a long one again and again.
#[derive(Debug)]
pub(crate) enum Object {
    Text(Arc<str>),
    Opaque,
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Global),
    Storage(Storage),
    Tensor(Tensor),
}

/// The callables and types a state dict needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// A `torch.*Storage` class, by its name.
    StorageType(Arc<str>),
}

/// A storage: which file of the archive, and how many elements of which type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Storage {
    pub(crate) class: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) elements: usize,
}

/// A view of a storage; offset and strides count elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) storage: Storage,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// Why a pickle was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Forbidden { module: String, name: String },
    Malformed(String),
}

/// All objects of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<Object>);

impl Arena {
    /// The object behind a value; `None` for scalars.
    pub(crate) fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.0.get(index),
            _ => None,
        }
    }

    pub(crate) fn text(&self, value: Value) -> Option<&str> {
        match self.get(value)? {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.get(value)? {
            Object::Dict(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn tensor(&self, value: Value) -> Option<&Tensor> {
        match self.get(value)? {
            Object::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.get(value)? {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }
}

/// Runs a pickle to its end; gives the arena and the value it leaves.
pub(crate) fn run(pickle: &[u8]) -> Result<(Arena, Value), Refusal> {
    if pickle.len() > MAX_PICKLE {
        return Err(Refusal::Malformed(format!("the pickle has {} bytes, over {MAX_PICKLE}", pickle.len())));
    }
    let mut machine = Machine { input: pickle, ..Machine::default() };
    loop {
        let at = pickle.len() - machine.input.len();
        match machine.step() {
            Ok(None) => {}
            Ok(Some(result)) => return Ok((machine.arena, result)),
            Err(Refusal::Malformed(what)) => {
                return Err(Refusal::Malformed(format!("pickle byte {at}: {what}")));
            }
            Err(forbidden) => return Err(forbidden),
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    input: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    arena: Arena,
    /// Values that went into containers.
    contained: usize,
}

fn malformed<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Malformed(what.into()))
}

impl<'a> Machine<'a> {
    /// One instruction; `Some` at the end of the pickle.
    fn step(&mut self) -> Result<Option<Value>, Refusal> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return self.pop().map(Some),
            0x80 | 0x95 => self.header(op)?,
            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.top().and_then(|v| self.push(v))?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(op)?,
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Bool(op == 0x88))?,
            b'J' | b'K' | b'M' | 0x8a | b'G' => self.number(op)?,
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'B' | b'C' => self.string(op)?,
            b')' | 0x85..=0x87 | b't' => self.tuple(op)?,
            b']' => self.create(Object::List(Vec::new()))?,
            b'}' => self.create(Object::Dict(Vec::new()))?,
            b'a' | b'e' => self.append(op)?,
            b's' | b'u' => self.set_items(op)?,
            b'c' | 0x93 => self.global(op)?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            _ => return malformed(format!("opcode {op:#04x} is not supported")),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        match self.input.split_at_checked(count) {
            Some((taken, rest)) => {
                self.input = rest;
                Ok(taken)
            }
            None => malformed("the pickle ends early"),
        }
    }

    /// A little-endian unsigned number of `width` bytes, at most 8.
    fn unsigned(&mut self, width: usize) -> Result<u64, Refusal> {
        Ok(self.take(width)?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn push(&mut self, value: Value) -> Result<(), Refusal> {
        if self.stack.len() >= MAX_ENTRIES {
            return malformed("the stack is too deep");
        }
        self.stack.push(value);
        Ok(())
    }

    fn create(&mut self, object: Object) -> Result<(), Refusal> {
        if self.arena.0.len() >= MAX_ENTRIES {
            return malformed("too many objects");
        }
        self.arena.0.push(object);
        self.push(Value::Object(self.arena.0.len() - 1))
    }

    /// Notes that values go into a container.
    fn contain(&mut self, count: usize) -> Result<(), Refusal> {
        self.contained += count;
        if self.contained > MAX_VALUES { malformed("too many values") } else { Ok(()) }
    }

    /// Values below an open mark stay out of reach.
    fn pop(&mut self) -> Result<Value, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(value) if self.stack.len() >= floor => Ok(value),
            _ => malformed("the stack is empty"),
        }
    }

    fn top(&self) -> Result<Value, Refusal> {
        self.stack.last().copied().map_or_else(|| malformed("the stack is empty"), Ok)
    }

    fn mark(&mut self) -> Result<(), Refusal> {
        if self.marks.len() >= MAX_ENTRIES {
            return malformed("too many marks");
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>, Refusal> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => malformed("no mark"),
        }
    }

    fn header(&mut self, op: u8) -> Result<(), Refusal> {
        if op == 0x95 {
            return self.take(8).map(drop);
        }
        match self.unsigned(1)? {
            0..=5 => Ok(()),
            version => malformed(format!("pickle protocol {version} is not supported")),
        }
    }

    fn memory(&mut self, op: u8) -> Result<(), Refusal> {
        let slot = match op {
            b'q' | b'h' => self.unsigned(1)? as u32,
            b'r' | b'j' => self.unsigned(4)? as u32,
            _ => self.memo.len() as u32,
        };
        if matches!(op, b'h' | b'j') {
            let value = self.memo.get(&slot).copied();
            return value.map_or_else(|| malformed(format!("memo {slot} is empty")), |v| self.push(v));
        }
        if self.memo.len() >= MAX_ENTRIES {
            return malformed("the memo is full");
        }
        self.memo.insert(slot, self.top()?);
        Ok(())
    }

    fn number(&mut self, op: u8) -> Result<(), Refusal> {
        let value = match op {
            b'J' => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'G' => self.take(8).map(|_| Value::Float)?,
            _ => self.long()?,
        };
        self.push(value)
    }

    /// Two's complement of up to 8 bytes.
    fn long(&mut self) -> Result<Value, Refusal> {
        let width = self.unsigned(1)? as usize;
        if width > 8 {
            return malformed("an integer of more than 64 bits");
        }
        let shift = 64 - 8 * width as u32;
        let bits = self.unsigned(width)?;
        Ok(Value::Int((bits.checked_shl(shift).unwrap_or(0) as i64).checked_shr(shift).unwrap_or(0)))
    }

    fn string(&mut self, op: u8) -> Result<(), Refusal> {
        let width = match op {
            0x8c | b'U' | b'C' => 1,
            0x8d => 8,
            _ => 4,
        };
        let length = self.unsigned(width)?;
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let object = match op {
            b'B' | b'C' => Object::Opaque,
            _ => match std::str::from_utf8(bytes) {
                Ok(text) => Object::Text(text.into()),
                Err(_) => return malformed("text that is not UTF-8"),
            },
        };
        self.create(object)
    }

    fn tuple(&mut self, op: u8) -> Result<(), Refusal> {
        let items = match op {
            b't' => self.pop_mark()?,
            b')' => Vec::new(),
            _ => {
                let mut items = (0..op - 0x84).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                items
            }
        };
        self.contain(items.len())?;
        self.create(Object::Tuple(items))
    }

    fn append(&mut self, op: u8) -> Result<(), Refusal> {
        let mut items = if op == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
        self.contain(items.len())?;
        match self.object_on_top()? {
            Object::List(list) => {
                list.append(&mut items);
                Ok(())
            }
            _ => malformed("append to what is not a list"),
        }
    }

    fn set_items(&mut self, op: u8) -> Result<(), Refusal> {
        let items = if op == b's' {
            let value = self.pop()?;
            vec![self.pop()?, value]
        } else {
            self.pop_mark()?
        };
        self.contain(items.len())?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.object_on_top()? {
            Object::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => malformed("set items of what is not a dict"),
        }
    }

    fn object_on_top(&mut self) -> Result<&mut Object, Refusal> {
        match self.top()? {
            Value::Object(index) => Ok(&mut self.arena.0[index]),
            _ => malformed("a scalar where a container should be"),
        }
    }

    fn global(&mut self, op: u8) -> Result<(), Refusal> {
        let (module, name) = if op == b'c' { (self.line()?, self.line()?) } else { self.popped_names()? };
        let global = match (&*module, &*name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch" | "torch.storage", class) if is_storage(class) => Global::StorageType(name),
            _ => return Err(Refusal::Forbidden { module: shortened(&module), name: shortened(&name) }),
        };
        self.create(Object::Global(global))
    }

    fn line(&mut self) -> Result<Arc<str>, Refusal> {
        let end = self.input.iter().take(1024).position(|&b| b == b'\n');
        let Some(end) = end else { return malformed("an unterminated name") };
        let line = String::from_utf8_lossy(self.take(end)?).into();
        self.take(1)?;
        Ok(line)
    }

    fn popped_names(&mut self) -> Result<(Arc<str>, Arc<str>), Refusal> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (self.arena.get(module), self.arena.get(name)) {
            (Some(Object::Text(module)), Some(Object::Text(name))) => Ok((module.clone(), name.clone())),
            _ => malformed("a global without a name"),
        }
    }

    fn reduce(&mut self) -> Result<(), Refusal> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Some(Object::Global(global)) = self.arena.get(callable) else {
            return malformed("a call of what is no function");
        };
        let Some(arguments) = self.arena.tuple(arguments) else {
            return malformed("a call without arguments");
        };
        match (global, arguments) {
            (Global::OrderedDict, []) => self.create(Object::Dict(Vec::new())),
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let tensor = self.rebuild(*storage, *offset, *shape, *strides);
                tensor.map_or_else(
                    || malformed("a tensor without a valid description"),
                    |t| self.create(Object::Tensor(t)),
                )
            }
            (Global::RebuildParameter, &[tensor, ..]) if self.arena.tensor(tensor).is_some() => {
                self.push(tensor)
            }
            _ => malformed("a call with unexpected arguments"),
        }
    }

    fn rebuild(&self, storage: Value, offset: Value, shape: Value, strides: Value) -> Option<Tensor> {
        let Object::Storage(storage) = self.arena.get(storage)? else { return None };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let offset = size(offset)?;
        (shape.len() == strides.len()).then(|| Tensor { storage: storage.clone(), offset, shape, strides })
    }

    fn sizes(&self, value: Value) -> Option<Vec<usize>> {
        // Eight dimensions: Burn's tensors have no more.
        self.arena.tuple(value).filter(|t| t.len() <= 8)?.iter().map(|&v| size(v)).collect()
    }

    /// The state of an object: ordered dicts carry metadata here, which weights do not need.
    fn build(&mut self) -> Result<(), Refusal> {
        self.pop()?;
        match self.object_on_top()? {
            Object::Dict(_) => Ok(()),
            _ => malformed("state for what is not a dict"),
        }
    }

    fn persistent(&mut self) -> Result<(), Refusal> {
        let id = self.pop()?;
        match self.storage(id) {
            Some(storage) => self.create(Object::Storage(storage)),
            None => malformed("a persistent id that is not a storage"),
        }
    }

    fn storage(&self, id: Value) -> Option<Storage> {
        let &[kind, class, key, _location, elements, ..] = self.arena.tuple(id)? else { return None };
        let Object::Global(Global::StorageType(class)) = self.arena.get(class)? else { return None };
        let named = self.arena.text(kind) == Some("storage");
        let Object::Text(key) = self.arena.get(key).filter(|_| named)? else { return None };
        if key.len() > MAX_NAME {
            return None;
        }
        Some(Storage { class: class.clone(), key: key.clone(), elements: size(elements)? })
    }
}

/// What a message shows of a name.
fn shortened(name: &str) -> String {
    name.chars().take(200).collect()
}

fn is_storage(class: &str) -> bool {
    class.len() <= MAX_NAME && class.ends_with("Storage") && class.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn size(value: Value) -> Option<usize> {
    match value {
        Value::Int(n) => usize::try_from(n).ok(),
        _ => None,
    }
}
