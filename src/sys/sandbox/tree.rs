//! Filters made into one short program. What seccompiler writes asks for one call after the other,
//! and wants a filter for each word on a call; but when a process enters a filter the kernel compiles
//! it, and walks it through for every system call there is. That was a good part of the work of a birth: one
//! program that looks a call up by halves is a tenth of it.

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{BpfProgram, sock_filter};

const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// `SECCOMP_RET_ALLOW`
const ALLOW: u32 = 0x7fff_0000;

/// Asks for the architecture, and loads the number of the call.
const PROLOGUE: usize = 4;

/// What is done about a call.
#[derive(Clone, PartialEq)]
enum Outcome {
    /// Always this.
    Say(u32),
    /// That depends on its arguments; every way through ends with a return.
    Weigh(BpfProgram),
}

/// One filter, taken apart.
struct Filter {
    calls: BTreeMap<u32, Outcome>,
    others: Outcome,
}

/// One program that says what the strictest of `filters` would say; `None` if they are not what
/// seccompiler writes, or if two of them weigh the same call.
pub(super) fn join(filters: &[BpfProgram]) -> Option<BpfProgram> {
    let prologue = filters.first()?.get(..PROLOGUE)?;
    let filters: Vec<Filter> = filters
        .iter()
        .map(|program| take_apart(program))
        .collect::<Option<_>>()?;
    let known = filters.iter().flat_map(|filter| filter.calls.keys());
    // Each known call, and whatever follows it.
    let starts: BTreeSet<u32> = known
        .flat_map(|nr| [*nr, nr.saturating_add(1)])
        .chain([0])
        .collect();
    let mut ranges: Vec<(u32, Outcome)> = Vec::with_capacity(starts.len());
    for start in starts {
        let outcomes = filters
            .iter()
            .map(|filter| filter.calls.get(&start).unwrap_or(&filter.others));
        let outcome = outcomes.cloned().try_fold(Outcome::Say(ALLOW), strictest)?;
        if ranges.last().is_none_or(|(_, last)| *last != outcome) {
            ranges.push((start, outcome));
        }
    }
    Some([prologue, &by_halves(&ranges)].concat())
}

/// Each call is `if nr == N {its rules} else {jump to the next call}`, and a return comes last.
fn take_apart(program: &[sock_filter]) -> Option<Filter> {
    let mut calls = BTreeMap::new();
    let mut rest = program.get(PROLOGUE..)?;
    while let [first, _, ..] = rest {
        if first.code != JUMP_IF_EQUAL || (first.jt, first.jf) != (0, 1) {
            return None;
        }
        // Over `if` and the jump into the first rule.
        let (mut body, after) = body(rest.get(2..)?)?;
        let outcome = match body.as_slice() {
            [_, one, _] if one.code == RETURN => Outcome::Say(one.k),
            [_, _, _, ..] => Outcome::Weigh(body.split_off(1)),
            _ => return None,
        };
        calls.insert(first.k, outcome);
        rest = after;
    }
    match rest {
        [last] if last.code == RETURN => Some(Filter {
            calls,
            others: Outcome::Say(last.k),
        }),
        _ => None,
    }
}

/// Each rule has a jump to that of the next rule, and the last to the next call: what belongs to this
/// call, and the rest. Those jumps are for other calls; a copy must not lead out of itself.
fn body(code: &[sock_filter]) -> Option<(BpfProgram, &[sock_filter])> {
    let mut body = code.to_vec();
    let mut at = 0;
    while let Some(one) = code.get(at).filter(|one| one.code == JUMP) {
        body.get_mut(at)?.k = 0;
        at = at
            .checked_add(usize::try_from(one.k).ok()?)?
            .checked_add(1)?;
    }
    body.truncate(at);
    Some((body, code.get(at..)?))
}

fn strictest(one: Outcome, other: Outcome) -> Option<Outcome> {
    match (one, other) {
        (Outcome::Say(ALLOW), outcome) | (outcome, Outcome::Say(ALLOW)) => Some(outcome),
        // The kernel compares them as signed numbers: the lowest wins.
        (Outcome::Say(one), Outcome::Say(other)) => Some(Outcome::Say(
            one.cast_signed().min(other.cast_signed()).cast_unsigned(),
        )),
        _ => None,
    }
}

/// `ranges` begin where they say and end where the next begins.
fn by_halves(ranges: &[(u32, Outcome)]) -> BpfProgram {
    if let Some(program) = with_shared_ends(ranges) {
        return program;
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    match (low, high) {
        ([], [(_, Outcome::Say(action)), ..]) => vec![instruction(RETURN, 0, 0, *action)],
        ([], [(_, Outcome::Weigh(body)), ..]) => body.clone(),
        (_, []) => Vec::new(),
        (low, [(pivot, _), ..]) => {
            let (low, high) = (by_halves(low), by_halves(high));
            let choice = match u8::try_from(low.len()) {
                Ok(over) => vec![instruction(JUMP_IF_AT_LEAST, over, 0, *pivot)],
                Err(_) => {
                    let far = u32::try_from(low.len()).unwrap_or(u32::MAX);
                    let over = instruction(JUMP, 0, 0, far);
                    vec![instruction(JUMP_IF_AT_LEAST, 0, 1, *pivot), over]
                }
            };
            [choice, low, high].concat()
        }
    }
}

/// All questions first, then each outcome once; `None` where that is farther away than a question can
/// jump.
fn with_shared_ends(ranges: &[(u32, Outcome)]) -> Option<BpfProgram> {
    let mut at = ranges.len().checked_sub(1)?;
    let mut ends: Vec<(&Outcome, usize)> = Vec::new();
    for (_, outcome) in ranges {
        if ends.iter().all(|(known, _)| *known != outcome) {
            ends.push((outcome, at));
            at += match outcome {
                Outcome::Say(_) => 1,
                Outcome::Weigh(body) => body.len(),
            };
        }
    }
    let mut program = Vec::with_capacity(at);
    ask(ranges, &ends, &mut program)?;
    for (outcome, _) in ends {
        match outcome {
            Outcome::Say(action) => program.push(instruction(RETURN, 0, 0, *action)),
            Outcome::Weigh(body) => program.extend_from_slice(body),
        }
    }
    Some(program)
}

/// Appends the questions that tell `ranges` apart: one less than there are.
fn ask(
    ranges: &[(u32, Outcome)],
    ends: &[(&Outcome, usize)],
    program: &mut BpfProgram,
) -> Option<()> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let [(pivot, _), ..] = high else {
        return None;
    };
    if low.is_empty() {
        return Some(());
    }
    let here = program.len();
    program.push(instruction(JUMP_IF_AT_LEAST, 0, 0, *pivot));
    let jump_to = |half: &[(u32, Outcome)], next: usize| {
        let end = match half {
            [(_, outcome)] => ends.iter().find(|(known, _)| *known == outcome)?.1,
            _ => next,
        };
        u8::try_from(end.checked_sub(here + 1)?).ok()
    };
    let if_lower = jump_to(low, program.len())?;
    ask(low, ends, program)?;
    let if_not = jump_to(high, program.len())?;
    ask(high, ends, program)?;
    let question = program.get_mut(here)?;
    (question.jt, question.jf) = (if_not, if_lower);
    Some(())
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    use super::*;

    /// What a filter says of a call: the few instructions that seccompiler uses, executed.
    fn verdict(program: &[sock_filter], data: &[u32]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let one = &program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { one.jt } else { one.jf });
            match one.code {
                0x20 => accumulator = data[one.k as usize / 4],
                0x54 => accumulator &= one.k,
                0x05 => at += one.k as usize,
                0x15 => at += jump(accumulator == one.k),
                0x25 => at += jump(accumulator > one.k),
                0x35 => at += jump(accumulator >= one.k),
                0x06 => return one.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn one_program_says_what_the_strictest_filter_says_of_every_call() {
        let condition = |operator, value| {
            SeccompCondition::new(1, SeccompCmpArgLen::Dword, operator, value).unwrap()
        };
        let rule = |operator, value| SeccompRule::new(vec![condition(operator, value)]).unwrap();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            [0, 1, 3, 39, 40, 41, 300].map(|nr| (nr, Vec::new())).into();
        rules.insert(
            16,
            vec![
                rule(SeccompCmpOp::Eq, 7),
                rule(SeccompCmpOp::MaskedEq(6), 2),
            ],
        );
        rules.insert(42, vec![rule(SeccompCmpOp::Ge, 5)]);
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::KillProcess,
            SeccompAction::Allow,
            arch,
        );
        let first: BpfProgram = filter.unwrap().try_into().unwrap();
        // Refuses some of what the first allows, one of it by its argument.
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            [3, 40, 500].map(|nr| (nr, Vec::new())).into();
        rules.insert(41, vec![rule(SeccompCmpOp::Eq, 5)]);
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(1), arch);
        let second: BpfProgram = filter.unwrap().try_into().unwrap();
        let joined = join(&[first.clone(), second.clone()]).unwrap();
        assert!(joined.len() < first.len());

        let allow = u32::from(SeccompAction::Allow);
        let own_arch = first[1].k;
        let mut allowed = 0;
        for nr in (0..600).chain([0x4000_0000, u32::MAX]) {
            for argument in [0, 1, 2, 3, 5, 7, 8, u32::MAX] {
                // nr, arch, instruction pointer, then two words an argument.
                let mut data = [0; 16];
                (data[0], data[1], data[6]) = (nr, own_arch, argument);
                let words = [&first, &second].map(|filter| verdict(filter, &data).cast_signed());
                let expected = words.into_iter().min().unwrap().cast_unsigned();
                assert_eq!(verdict(&joined, &data), expected, "{nr} {argument}");
                allowed += u32::from(expected == allow);
                data[1] = 0;
                assert_ne!(verdict(&joined, &data), allow);
            }
        }
        assert_eq!(allowed, 5 * 8 - 1 + 3 + 4);
        assert!(join(&[first.clone(), first]).is_none());
    }
}
