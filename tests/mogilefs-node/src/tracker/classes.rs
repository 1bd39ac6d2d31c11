//! Domains and classes: making, changing, deleting, listing.

use super::Call;
use crate::codec::{Answer, Refusal, count, field, is_true, refuse, whole};
use crate::dice::Dice;
use crate::door::lock;
use crate::store::{Algorithm, Class, ClassId, DEFAULT_CLASS, Domain, Event, State};

pub(super) fn create_domain(call: &mut Call<'_>) -> Answer {
    let name = call
        .args
        .truth("domain")
        .ok_or_else(|| refuse("no_domain"))?;
    let mut state = lock(&call.node.state);
    let weight = |name: &[u8]| state.flavour.collation.weigh(name);
    if state
        .domains
        .values()
        .any(|known| weight(&known.name) == weight(name))
    {
        return Err(refuse("domain_exists"));
    }
    if state.flavour.mysql && !super::upload::fits_column(name) {
        let text = "failed to make domain at lib/MogileFS/Store.pm line 1661.\n";
        return Err(Refusal::new("failure", text));
    }
    let id = state.next_domain();
    state.record(Event::Domain(id, name.to_vec()));
    Ok(vec![field("domain", name)])
}

pub(super) fn delete_domain(call: &mut Call<'_>) -> Answer {
    let name = call
        .args
        .truth("domain")
        .ok_or_else(|| refuse("no_domain"))?;
    let mut state = lock(&call.node.state);
    let domain = state
        .domain(name)
        .ok_or_else(|| refuse("domain_not_found"))?;
    let (id, classes) = (
        domain.id,
        domain.classes.iter().any(|c| c.id != DEFAULT_CLASS),
    );
    if state.has_files(id, None) {
        return Err(refuse("domain_has_files"));
    }
    if classes {
        return Err(refuse("domain_has_classes"));
    }
    state.record(Event::NoDomain(id));
    Ok(vec![field("domain", name)])
}

pub(super) fn domains(call: &mut Call<'_>) -> Answer {
    let mut domains: Vec<Domain> = lock(&call.node.state).domains.values().cloned().collect();
    // The numbering means nothing: it changes from worker to worker.
    let mut dice = Dice::of_the_moment();
    dice.shuffle(&mut domains);
    let mut fields = vec![count("domains", domains.len())];
    for (n, domain) in (1..).zip(domains) {
        let mut classes = domain.all_classes();
        dice.shuffle(&mut classes);
        fields.push(field(&format!("domain{n}"), domain.name));
        fields.push(count(&format!("domain{n}classes"), classes.len()));
        for (m, class) in (1..).zip(classes) {
            let name = |what: &str| format!("domain{n}class{m}{what}");
            fields.push(field(&name("name"), class.name));
            fields.push(count(&name("mindevcount"), class.mindevcount));
            fields.push(field(&name("replpolicy"), class.replpolicy));
            fields.push(field(&name("hashtype"), class.hashtype));
        }
    }
    Ok(fields)
}

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    change(call, false)
}

pub(super) fn update(call: &mut Call<'_>) -> Answer {
    change(call, true)
}

fn change(call: &mut Call<'_>, update: bool) -> Answer {
    let node = call.node;
    let domain_name = call
        .args
        .filled("domain")
        .ok_or_else(|| refuse("no_domain"))?;
    let name = call
        .args
        .filled("class")
        .ok_or_else(|| refuse("no_class"))?;
    let mindevcount = whole(call.args.number("mindevcount"));
    if mindevcount < 1 {
        return Err(refuse("invalid_mindevcount"));
    }
    let replpolicy = policy(call.args.truth("replpolicy"))?;
    let hashtype = match call.args.truth("hashtype") {
        None => None,
        Some(name) if name == b"NONE" || Algorithm::named(name).is_some() => {
            Some(String::from_utf8_lossy(name).into_owned())
        }
        Some(_) => return Err(refuse("invalid_hashtype")),
    };
    let mut state = lock(&node.state);
    let domain = state
        .domain(domain_name)
        .ok_or_else(|| refuse("domain_not_found"))?
        .clone();
    let known = domain.class(name).filter(|class| {
        class.id != DEFAULT_CLASS || update || domain.classes.iter().any(|c| c.id == class.id)
    });
    let mut class = match known {
        Some(class) if update => class,
        None if update => return Err(refuse("class_not_found")),
        Some(_) => return Err(refuse("class_exists")),
        None => fresh(&state, &domain, name)?,
    };
    class.replpolicy = replpolicy.unwrap_or(class.replpolicy);
    class.hashtype = hashtype.unwrap_or(class.hashtype);
    if state.flavour.mysql && mindevcount > 255 {
        // The row is made first and its count set afterwards, which fails.
        state.record(Event::Class(domain.id, class));
        drop(state);
        return Err(call.die("create_class", "out of range for column 'mindevcount'"));
    }
    class.mindevcount = u32::try_from(mindevcount).unwrap_or(u32::MAX);
    state.record(Event::Class(domain.id, class));
    Ok(vec![
        count("mindevcount", mindevcount),
        field("class", name),
        field("domain", domain_name),
    ])
}

/// A class that is not there yet, with what it has where nothing is said.
fn fresh(state: &State, domain: &Domain, name: &[u8]) -> Result<Class, Refusal> {
    let weight = |name: &[u8]| state.flavour.collation.weigh(name);
    if domain
        .classes
        .iter()
        .any(|class| weight(&class.name) == weight(name))
    {
        return Err(refuse("class_exists"));
    }
    if state.flavour.mysql && String::from_utf8_lossy(name).chars().count() > 50 {
        let text = "Database error from MogileFS::Store/lib/MogileFS/Store.pm/942: Data too long \
                    for column 'classname' at row 1 at lib/MogileFS/Worker/Query.pm line 933.\n";
        return Err(Refusal::new("failure", text));
    }
    let highest: ClassId = domain
        .classes
        .iter()
        .map(|class| class.id)
        .max()
        .unwrap_or(0);
    Ok(Class {
        id: if name == b"default" {
            DEFAULT_CLASS
        } else {
            highest + 1
        },
        name: name.to_vec(),
        mindevcount: 2,
        hashtype: "NONE".to_owned(),
        replpolicy: "MultipleHosts()".to_owned(),
    })
}

/// A policy that exists, with its arguments in brackets.
fn policy(sent: Option<&[u8]>) -> Result<Option<String>, Refusal> {
    let Some(sent) = sent.filter(|sent| is_true(sent)) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(sent).into_owned();
    let name = text.split('(').next().unwrap_or_default();
    if matches!(
        name,
        "MultipleHosts" | "MultipleDevices" | "MultipleNetworks" | "Union"
    ) {
        return Ok(Some(text));
    }
    let why = format!(
        "Failed to load replication policy class MogileFS::ReplicationPolicy::{name}: not found"
    );
    Err(Refusal::new("invalid_replpolicy", why))
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let domain_name = call
        .args
        .filled("domain")
        .ok_or_else(|| refuse("no_domain"))?;
    let name = call.args.get("class").unwrap_or_default();
    if name == b"default" {
        return Err(refuse("nodel_default_class"));
    }
    let mut state = lock(&call.node.state);
    let domain = state
        .domain(domain_name)
        .ok_or_else(|| refuse("domain_not_found"))?;
    let (domain_id, class) = (domain.id, domain.class(name));
    let class = class.ok_or_else(|| refuse("class_not_found"))?.id;
    if state.has_files(domain_id, Some(class)) {
        return Err(refuse("class_has_files"));
    }
    state.record(Event::NoClass(domain_id, class));
    Ok(vec![field("class", name), field("domain", domain_name)])
}
