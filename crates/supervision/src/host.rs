//! One machine as supervision sees it: the two halves of the kernel seam, and where the engine keeps things on it.

use crate::kernel::{Groups, Kernel};
use crate::layout::Layout;

/// Borrowed and copied freely; holds nothing itself.
#[derive(Debug)]
pub struct Host<'a, K, G> {
    pub kernel: &'a K,
    pub groups: &'a G,
    pub layout: &'a Layout,
}

impl<K: Kernel, G: Groups> Clone for Host<'_, K, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Kernel, G: Groups> Copy for Host<'_, K, G> {}
