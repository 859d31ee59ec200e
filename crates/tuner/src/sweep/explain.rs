//! What was measured, in words: why a setting is preferred to another, and what makes that doubtful.

use profiler::report::human::duration;

use super::cell::CellSummary;
use super::drift::Drift;
use super::grid::Cell;
use super::limit;
use super::objective::{Objective, chosen_by, feeds, preferred_for};
use super::score::ScoreTerms;
use super::summary::{Reused, Summary};
use crate::TunerError;

/// Why `winner` is recommended although another setting is better under the objective, if one is.
pub fn equal_to_leader(winner: &CellSummary, summary: &Summary) -> Option<String> {
    let objective = summary.method.objective;
    if summary.refuted().is_some() {
        // It is not the tie rule that decided.
        return None;
    }
    let leader = summary.find(summary.choice(objective)?.leader).ok()?;
    let value = chosen_by(objective, leader)?;
    // None is better than another that feeds the consumer.
    let feeds = objective == Objective::CheapestThatFeeds && feeds(leader);
    if leader.cell == winner.cell || feeds {
        return None;
    }
    let preferred = preferred_for(winner, leader);
    let [low, high] = value.interval.unwrap_or([value.median; 2]);
    let better = match (objective, leader.expected) {
        (Objective::Documented | Objective::Custom, None) => {
            format!("scores higher, {:.1}", value.median)
        }
        (Objective::Documented | Objective::Custom, Some(_)) => {
            format!("is expected to score higher, {:.1}", value.median)
        }
        (_, None) => "is better".to_owned(),
        (_, Some(_)) => "is expected to be better".to_owned(),
    };
    let sure = match objective {
        Objective::Documented | Objective::Custom => format!(" ({low:.1} to {high:.1})"),
        _ => String::new(),
    };
    Some(format!(
        "{} {better}, but by less than is certain{sure}: of such equals the one with {preferred} is \
         recommended",
        leader.cell
    ))
}

/// Why the setting with the most samples a second is not recommended, if it is not `winner`.
pub fn why_not_fastest(
    fastest: &CellSummary,
    winner: &CellSummary,
    summary: &Summary,
) -> Option<String> {
    let objective = summary.method.objective;
    let choice = summary.choice(objective)?;
    if summary.refuted().is_some_and(|refuted| refuted.winner == fastest.cell) {
        return Some("fresh runs refuted it".to_owned());
    }
    if fastest.cell == winner.cell || fastest.cell == choice.leader {
        // The leader is spoken of by `equal_to_leader`.
        return None;
    }
    if choice.equals.contains(&fastest.cell) {
        let preferred = preferred_for(winner, fastest);
        return Some(match (objective, fastest.expected) {
            (Objective::Documented, None) => format!(
                "its score, {:.1}, is the equal of the recommended one's, which has {preferred}",
                fastest.score.median
            ),
            _ => format!("it is the equal of the recommended one, which has {preferred}"),
        });
    }
    if objective != Objective::Documented {
        return Some(format!("the recommended one is better by the objective `{objective}`"));
    }
    let score = |cell| Some(chosen_by(objective, cell)?.median);
    let lower = score(winner)? - score(fastest)?;
    if lower < 0.0 {
        // Only of a default that is recommended since fresh runs refuted the best.
        let refuted = summary.refuted()?.winner;
        return Some(format!(
            "its score is {:.1} higher by the sweep's own runs, but {refuted} was preferred to it, which fresh \
             runs refuted",
            -lower
        ));
    }
    let (a, b) = (&fastest.score_terms, &winner.score_terms);
    let gpu = |terms: &ScoreTerms| terms.gpu_memory.unwrap_or(0.0);
    let batches = match fastest.cell.batch_size > winner.cell.batch_size {
        true => "batches per second, of which small batches give more",
        false => "batches per second",
    };
    let differences = [
        (a.batches - b.batches, batches),
        (a.memory - b.memory, "memory"),
        (gpu(a) - gpu(b), "GPU memory"),
        (a.cpu - b.cpu, "CPU use"),
        (a.bottlenecks - b.bottlenecks, "bottlenecks"),
        (a.workers - b.workers, "having workers"),
        (a.pin_memory - b.pin_memory, "pinned memory"),
    ];
    let (_, most) = differences.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let is = if fastest.expected.is_some() { "is expected to be" } else { "is" };
    Some(format!("its score {is} {lower:.1} lower, most of it for {most}"))
}

/// What makes the recommendation doubtful.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn warnings(summary: &Summary) -> Result<Vec<String>, TunerError> {
    let winner = summary.winner()?;
    let mut warnings: Vec<String> = rivals_that_failed(summary).into_iter().collect();
    warnings.extend(limit::hungry(winner, summary));
    warnings.extend(summary.method.cache.warning());
    warnings.extend(limit::others(winner, summary));
    if winner.failed > 0 {
        let trials = if winner.failed == 1 { "trial" } else { "trials" };
        warnings.push(format!("{} {trials} of it failed too, as of every setting", winner.failed));
    }
    warnings.extend(refuted(summary));
    let method = &summary.method;
    warnings.extend(method.reused.as_ref().and_then(Reused::warning));
    warnings.extend(method.ended.warning(method.strategy).map(str::to_owned));
    // Rates at the machine's usual speed do not suffer from its changes.
    let drift = summary.drift.as_ref().filter(|_| 2 * method.in_turn < method.trials);
    warnings.extend(drift.and_then(Drift::warning));
    Ok(warnings)
}

/// That fresh runs refute the setting that won by the sweep's own, if they do.
fn refuted(summary: &Summary) -> Option<String> {
    let (headline, objective) = (summary.headline.as_ref()?, summary.method.objective);
    let (said, pairs) = (headline.refutation(objective), headline.winner_samples_per_s.len());
    if summary.refuted().is_some() {
        return Some(format!(
            "{} was the best by the sweep's own runs, but {said} in {pairs} pairs of fresh runs beside the \
             default: so the default is recommended",
            headline.winner
        ));
    }
    headline.refutes(objective).then(|| {
        format!(
            "the recommended setting {said} in {pairs} pairs of fresh runs beside the default, {}, which \
             could not be chosen: it is not in the grid, was not run in it, or a run of it failed",
            headline.default
        )
    })
}

/// Why the recommended setting and not another that is better in some respect.
///
/// # Errors
/// If the summary does not hold the recommended setting or the fastest.
pub fn notes(summary: &Summary) -> Result<Vec<String>, TunerError> {
    let (winner, fastest) = (summary.winner()?, summary.find(summary.fastest)?);
    let mut notes: Vec<String> = for_each_batch_size(summary).into_iter().collect();
    let reused = summary.method.reused.as_ref().filter(|reused| reused.runs > 0);
    notes.extend(reused.map(Reused::words));
    notes.extend(equal_to_leader(winner, summary));
    if fastest.cell != winner.cell {
        let rate = fastest.samples_per_s.median;
        let reason = why_not_fastest(fastest, winner, summary).map(|reason| format!("; {reason}"));
        notes.push(format!(
            "most samples/s: {}, {rate:.0} samples/s{}",
            fastest.cell,
            reason.unwrap_or_default()
        ));
    }
    Ok(notes)
}

/// What to use for each batch size, where the consumer takes as long for a batch whatever its size: of
/// several sizes the smallest is then the easiest to feed, which says nothing of training.
fn for_each_batch_size(summary: &Summary) -> Option<String> {
    let step_s = summary.method.consumer.step_s()?;
    let best: Vec<String> =
        summary.by_batch_size.iter().map(|choice| choice.winner.to_string()).collect();
    (best.len() > 1).then(|| {
        format!(
            "the training loop takes {} for a batch, however many samples it has; so choose the batch size \
             for the training, and for each the best is: {}",
            duration(step_s),
            best.join("; ")
        )
    })
}

/// That settings failed that could have won, if some did.
pub fn rivals_that_failed(summary: &Summary) -> Option<String> {
    const NAMED: usize = 3;
    let rivals = &summary.could_have_won;
    let names: Vec<String> = rivals.iter().take(NAMED).map(Cell::to_string).collect();
    let more = match rivals.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let (number, them) = match rivals.len() {
        0 => return None,
        1 => ("1 setting".to_owned(), "it"),
        number => (format!("{number} settings"), "them"),
    };
    Some(format!(
        "{number} could have won, but trials of {them} failed: {}{more}",
        names.join("; ")
    ))
}

#[cfg(test)]
pub(in crate::sweep) mod tests {
    use super::super::cell::tests::cell;
    use super::super::estimate::Estimate;
    use super::super::headline::Headline;
    use super::super::headline::tests::five_pairs;
    use super::super::objective::choose;
    use super::*;

    fn with_batches(batch_size: usize, terms: [f64; 2], samples_per_s: f64) -> CellSummary {
        let [batches, memory] = terms;
        let mut cell = cell(1, 1, batches + memory);
        cell.cell.batch_size = batch_size;
        cell.samples_per_s.median = samples_per_s;
        (cell.score_terms.batches, cell.score_terms.memory) = (batches, memory);
        cell
    }

    /// Of those settings.
    pub(in crate::sweep) fn summary(cells: Vec<CellSummary>) -> Summary {
        let choice = choose(Objective::Documented, &cells).unwrap();
        let json = serde_json::json!({
            "schema": "", "started": "", "finished": "", "command": "",
            "machine": {"cpu": "", "usable_cores": 2.0, "memory_bytes": 1, "gpus": [], "libtorch": ""},
            "data": {"root": "", "samples": 1, "classes": 1, "fingerprint": "", "stand_in": false},
            "method": {
                "strategy": "grid", "objective": "documented", "consumer": "none",
                "cache": {"asked": "hot", "state": "hot"}, "repeats": 3, "max_repeats": 3,
                "measure_s": 1.0, "turn_s": 0.1, "in_turn": 0, "memory_limit_bytes": 1, "blocks": 3, "trials": 9,
                "trials_s": 9.0, "unsteady": 0, "ended": "known",
            },
            "ceilings": [], "failed": [], "could_have_won": [], "by_batch_size": [], "pareto": [],
            "recommended": choice.winner,
            "default": cell(2, 2, 0.0).cell,
            "fastest": cells[0].cell,
            "objectives": [choice],
            "cells": cells,
        });
        serde_json::from_value(json).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_equal_that_scores_higher_is_told_with_what_decided() {
        let summary = summary(vec![cell(1, 1, 103.0), cell(0, 1, 102.6)]);
        let winner = &summary.cells[1];
        assert_eq!(winner.cell, summary.recommended);
        let reason = equal_to_leader(winner, &summary).unwrap_or_default();
        assert_eq!(
            reason,
            "batch size 32, 1 worker, prefetch depth 1 scores higher, 103.0, but by less than is \
             certain (98.0 to 108.0): of such equals the one with fewer workers is \
             recommended"
        );
        // The same setting is the fastest: that is said once.
        assert_eq!(why_not_fastest(&summary.cells[0], winner, &summary), None);
        assert_eq!(equal_to_leader(&summary.cells[0], &summary), None);
    }

    #[test]
    fn small_batches_are_the_reason_only_where_they_are() {
        let winner = with_batches(32, [200.0, -2.0], 640.0);
        let larger = with_batches(64, [120.0, -3.0], 768.0);
        let mut same = with_batches(32, [201.0, -60.0], 650.0);
        same.cell.prefetch_depth = 4;
        let both = summary(vec![winner.clone(), same.clone(), larger.clone()]);
        let reason = |cell| why_not_fastest(cell, &winner, &both).unwrap_or_default();
        assert_eq!(
            reason(&larger),
            "its score is 81.0 lower, most of it for batches per second, of which small batches \
             give more"
        );
        assert_eq!(reason(&same), "its score is 57.0 lower, most of it for memory");
    }

    #[test]
    fn of_settings_that_feed_the_consumer_none_is_said_to_be_better() {
        let waiting = |workers, share: f64| {
            let mut cell = cell(workers, 1, 100.0);
            cell.wait_share = Some(Estimate { median: share, ..cell.samples_per_s });
            cell
        };
        let mut fed = summary(vec![waiting(1, 0.01), waiting(4, 0.04), waiting(0, 0.9)]);
        fed.method.objective = Objective::CheapestThatFeeds;
        let choice = choose(Objective::CheapestThatFeeds, &fed.cells).unwrap();
        assert_eq!(choice.winner, fed.cells[0].cell);
        assert!(choice.certainty(&fed.cells).starts_with("1 other setting feeds the consumer"));
        fed.objectives = vec![choice];
        assert_eq!(equal_to_leader(&fed.cells[0], &fed), None);
    }

    #[test]
    fn a_setting_that_scores_higher_than_the_default_is_not_said_to_score_lower() {
        let mut found = summary(vec![cell(4, 2, 200.0), cell(2, 2, 90.0), cell(3, 2, 120.0)]);
        let [leader, default, fastest] = &found.cells.clone()[..] else { unreachable!() };
        found.headline = Some(Headline { winner: leader.cell, ..five_pairs(0.9, 0.01) });
        found.recommended = default.cell;
        found.objectives[0].give_way(default.cell);
        assert_eq!(
            why_not_fastest(fastest, default, &found),
            Some(format!(
                "its score is 30.0 higher by the sweep's own runs, but {} was preferred to it, which fresh \
                 runs refuted",
                leader.cell
            ))
        );
    }

    #[test]
    fn where_a_step_takes_as_long_for_any_batch_each_batch_size_has_its_answer() {
        let mut summary = summary(vec![
            with_batches(32, [200.0, 0.0], 640.0),
            with_batches(64, [100.0, 0.0], 640.0),
        ]);
        let cells = summary.cells.clone();
        summary.by_batch_size =
            super::super::objective::by_batch_size(Objective::Documented, &cells);
        assert_eq!(for_each_batch_size(&summary), None);
        summary.method.consumer = crate::consumer::Consumer::StepMs(40.0);
        let said = notes(&summary).unwrap().remove(0);
        assert!(said.contains("40.0 ms") || said.contains("40 ms"), "{said}");
        assert!(
            said.contains("batch size 32, 1 worker") && said.contains("batch size 64"),
            "{said}"
        );
    }

    #[test]
    fn fresh_runs_that_refute_the_winner_are_a_warning() {
        let mut both = summary(vec![cell(1, 1, 103.0), cell(2, 2, 90.0)]);
        for (refuting, recommended) in [(false, 0), (true, 0), (true, 1)] {
            let mut found = five_pairs(if refuting { 0.9 } else { 1.1 }, 0.01);
            (found.winner, found.default) = (both.cells[0].cell, both.cells[1].cell);
            both.recommended = both.cells[recommended].cell;
            both.headline = Some(found);
            let said = warnings(&both).unwrap().join("\n");
            assert_eq!(said.contains("scored 12.5"), refuting, "{said}");
            let instead = said.contains("so the default is recommended");
            assert_eq!(instead, recommended == 1, "{said}");
            assert_eq!(said.contains("could not be chosen"), refuting && !instead, "{said}");
        }
        let notes = notes(&both).unwrap().join("\n");
        assert!(notes.contains("1 worker, prefetch depth 1, 103 samples/s; fresh runs refuted it"));
    }

    #[test]
    fn rivals_that_failed_are_named_up_to_three() {
        let mut summary = summary(vec![cell(0, 1, 100.0)]);
        assert_eq!(rivals_that_failed(&summary), None);
        summary.could_have_won = vec![cell(1, 1, 0.0).cell];
        assert_eq!(
            rivals_that_failed(&summary).unwrap_or_default(),
            "1 setting could have won, but trials of it failed: batch size 32, 1 worker, prefetch \
             depth 1"
        );
        summary.could_have_won = (1..6).map(|workers| cell(workers, 1, 0.0).cell).collect();
        let many = rivals_that_failed(&summary).unwrap_or_default();
        assert!(many.starts_with("5 settings") && many.ends_with("; and 2 more"), "{many}");
    }
}
