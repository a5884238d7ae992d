//! An allocator that counts what is held. A test binary that counts makes it its own:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: testkit::counting::Counting = testkit::counting::Counting;
//! ```

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The system's allocator, which counts.
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(pointer: *mut u8, layout: Layout) -> *mut u8 {
    if !pointer.is_null() {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
    pointer
}

// SAFETY: all memory is the system allocator's. Growing goes by way of `alloc`, as the trait has it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// One measurement at a time: the counters are the process's.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes held now.
pub fn held() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Lets [`most`] begin again with what is held now.
pub fn begin() {
    PEAK.store(held(), Ordering::Relaxed);
}

/// The most bytes held at a time since [`begin`].
pub fn most() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// What `call` returns, and the bytes it held at most beyond what was there before, the result among them.
pub fn most_held<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = held();
    begin();
    let result = call();
    (result, most() - before)
}
