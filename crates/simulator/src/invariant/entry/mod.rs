//! What must hold of everything that becomes durable: the shadow before, each event with the shadow it came upon, the
//! shadow after. `history` is about order and ends, `request` about who asked, `placing` and `releasing` about instances.

mod history;
mod hosting;
mod losing;
mod moving;
mod placing;
mod releasing;
mod request;
mod rolling;
#[cfg(test)]
mod tests;
mod undoing;

use super::{Broken, Exercised, check_all};
use crate::request::Requests;
use crate::shadow::Shadow;
use ensemble_model::event::{AcceptedOperation, Entry, Event};
use ensemble_model::id::InstanceId;
use std::collections::BTreeSet;

pub(crate) use placing::done_by;

pub(crate) struct Seen<'a> {
    pub(crate) before: &'a Shadow,
    pub(crate) entry: &'a Entry,
    /// The shadow before each event.
    pub(crate) moments: &'a [Shadow],
    pub(crate) after: &'a Shadow,
    pub(crate) requests: &'a Requests,
    /// Instances of which any host has something, where the entry says that one is gone.
    pub(crate) running: &'a BTreeSet<InstanceId>,
    /// Instances that any host has begun to stop by now.
    pub(crate) stopped: &'a BTreeSet<InstanceId>,
}

impl Seen<'_> {
    /// Each event, with the shadow that it came upon.
    fn steps(&self) -> impl Iterator<Item = (&Shadow, &Event)> {
        self.moments.iter().zip(&self.entry.events)
    }

    /// Each accepted write, with the shadow that it was decided on.
    fn accepted(&self) -> impl Iterator<Item = (&Shadow, &AcceptedOperation)> {
        self.steps().filter_map(|(before, event)| match event {
            Event::OperationAccepted { operation } => Some((before, &**operation)),
            _ => None,
        })
    }
}

pub(crate) fn check(seen: &Seen<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(seen, exercised;
        history::log_time_never_falls,
        history::an_older_epoch_writes_nothing,
        history::an_ended_operation_never_changes,
        history::no_instance_is_planned_twice,
        history::one_operation_at_a_time,
        history::an_operation_succeeds_only_when_all_is_done,
        history::an_application_goes_with_its_last_instance,
        history::what_is_superseded_gives_way_to_a_delete,
        request::a_write_is_whole_in_its_entry,
        request::only_what_was_asked_is_accepted,
        request::a_refusal_leaves_no_event,
        request::one_execution_per_client_token,
        request::one_execution_per_nonce,
        request::a_stale_write_is_refused,
        request::an_operation_stays_in_its_account,
        placing::nothing_is_placed_onto_a_full_node,
        placing::nothing_is_placed_onto_an_unreachable_node,
        placing::asked_is_placed_plus_refused,
        placing::what_was_planned_is_what_executes,
        placing::what_was_foretold_is_what_executes,
        placing::it_goes_where_the_rules_say,
        hosting::a_host_is_free_and_large_enough,
        hosting::what_was_hosted_is_given_back,
        hosting::an_own_instance_goes_by_its_owners_word,
        hosting::own_instances_are_made_as_asked,
        moving::a_move_stays_in_its_scope,
        moving::a_move_waits_for_the_other,
        moving::a_move_goes_on_as_soon_as_it_may,
        moving::nothing_is_doubled_after_a_move,
        moving::a_rebalance_does_what_it_was_planned_for,
        moving::a_drain_moves_only_from_where_it_is,
        moving::a_move_goes_where_an_add_would,
        rolling::a_rollout_keeps_within_its_caps,
        rolling::a_rollout_keeps_the_floor,
        rolling::only_what_was_planned_changes_its_version,
        rolling::a_stable_version_moves_when_it_may,
        rolling::a_version_goes_when_nothing_needs_it,
        undoing::an_undo_has_its_reason,
        undoing::a_canceled_operation_ends,
        undoing::what_is_given_up_is_given_up_whole,
        undoing::an_undo_goes_as_far_as_it_can,
        undoing::what_is_revived_was_not_told,
        losing::a_lost_node_is_empty,
        losing::what_replaces_stays_in_its_scope,
        releasing::a_del_touches_only_what_was_asked_for,
        releasing::a_del_takes_the_broken_first,
        releasing::a_release_has_its_reason,
        releasing::what_is_protected_is_taken_only_by_name,
        releasing::a_floor_is_kept,
        releasing::an_unreachable_node_is_not_emptied,
        releasing::what_is_gone_runs_nowhere,
        history::an_operation_that_waits_for_nothing_has_ended,
    )
}
