//! What every store must do, run against each of them.

pub(super) mod fixture;
mod log;
mod mail;
mod receipt;
mod roster;
mod time;

use fixture::World;

/// Runs `async fn NAME(world: World)` of the listed modules once per store.
macro_rules! conformance {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        mod memory {
            $(mod $module {
                use crate::store::conformance::{$module as suite, World};
                $(#[test] fn $name() { World::memory(suite::$name); })+
            })+
        }
        mod forgetful {
            $(mod $module {
                use crate::store::conformance::{$module as suite, World};
                $(#[test] fn $name() { World::forgetful(suite::$name); })+
            })+
        }
        mod sqlite {
            $(mod $module {
                use crate::store::conformance::{$module as suite, World};
                $(#[test] fn $name() { World::sqlite(suite::$name); })+
            })+
        }
    };
}

conformance! {
    roster:
        entries_are_kept_in_order,
        a_stale_head_and_a_second_genesis_are_refused,
        the_fold_decides,
        a_member_has_a_daily_allowance,
        removal_drops_what_waits_and_keeps_the_rest,
        records_never_go_back,
        replaced_prekeys_stay_usable_for_a_while;
    mail:
        accepted_mail_waits_in_order_until_acknowledged,
        a_repeated_envelope_is_a_duplicate_even_after_delivery,
        one_id_with_two_contents_is_a_conflict,
        outcomes_are_per_recipient,
        checks_run_in_the_protocols_order,
        a_full_mailbox_refuses_and_keeps_the_order,
        a_lane_waits_only_for_what_comes_again,
        impossible_numbers_are_refused_alone,
        a_recipient_named_twice_gets_one_copy,
        pages_end_at_their_limits,
        the_last_accepted_envelope_is_remembered,
        a_closed_mesh_takes_no_mail,
        one_batch_may_name_an_id_again,
        every_commit_is_counted;
    receipt:
        a_receipt_reaches_the_sender_as_a_notice,
        only_the_recipients_own_matching_rows_go,
        a_refused_message_may_come_again_with_a_higher_attempt,
        a_shared_body_lives_until_the_last_copy_goes,
        notices_are_forgotten_when_done;
    time:
        scheduled_mail_comes_when_due,
        scheduled_mail_that_expires_first_ends_then,
        expired_mail_leaves_a_notice,
        old_ids_and_notices_are_forgotten;
    log:
        entries_get_offsets_and_a_chain,
        the_same_entry_again_gets_the_same_answer,
        the_tail_can_be_compared_and_swapped,
        the_fold_judges_and_a_refused_first_entry_makes_no_log,
        the_position_seen_must_lie_on_the_chain,
        compaction_keeps_the_hashes,
        only_live_devices_write;
}
