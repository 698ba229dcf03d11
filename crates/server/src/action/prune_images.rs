//! PruneImages: removes images that nothing needs. What is pinned is asked of the newest state at the moment of the
//! removal, so that a version created meanwhile keeps its image.

use super::{Answer, Context};
use crate::images;
use ensemble_engine::embedded::image::Extent;
use ensemble_model::permit::Permit;
use ensemble_wire::action::prune_images::{Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::parameters::Flag;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    context.check_owner(&permit)?;
    let extent = match request.all {
        Flag::Yes => Extent::AllUnpinned,
        Flag::No => Extent::ToBytes(context.services.cache_bytes()),
    };
    let control = context.services.control.clone();
    let pruned = context.services.engines.prune_images(extent, move || images::pinned(&control)).await;
    let pruned = pruned.map_err(|error| images::fault(&error))?;
    let state = context.state();
    Ok(Answer::of(&Response {
        images: pruned.images.into_iter().map(|stored| images::shown(stored, &state)).collect(),
        freed_bytes: pruned.freed_bytes,
        total_bytes: pruned.left_bytes,
        request_id: context.request_id.clone(),
    }))
}
