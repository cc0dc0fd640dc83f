//! The shop as campaigns know it: catalogue now and earlier, complements, intervals of repurchases.

use std::sync::Mutex;

use rayon::prelude::*;

use crate::{
    artifacts::{ASSORTMENT, ItemTable, write_items},
    campaigns::{Complements, EarlierCatalog, ItemFilter, Plan, Repurchases, Rule, Shop},
    catalog::{CatalogConfig, read_listing},
    ids::IdTable,
    recommendations::{Catalog, ListKind},
};

use super::{CampaignInputs, CampaignsDone, buckets::Reading, past::Past};
use crate::pipeline::PipelineError;

/// Puts the shop together, and writes the assortment into the run for later ones to compare with.
pub(super) fn open(
    inputs: &CampaignInputs<'_>,
    plan: &Plan,
    past: &Past,
    done: &mut CampaignsDone,
) -> Result<Shop, PipelineError> {
    let config = inputs.config;
    let (ids, catalog) = read_listing(&config.catalog, inputs.storage, &inputs.items.ids)?;
    write_assortment(inputs, &ids, &catalog)?;
    let mut shop = Shop::new(ids, catalog, &inputs.items.ids, &config.recommendations, inputs.as_of)?;
    if plan.any(Rule::compares_catalogs) {
        shop.earlier = earlier(inputs, past, &shop.items)?;
        if shop.earlier.is_none() {
            done.warnings.push(
                "price_drop, back_in_stock and new_arrivals compare with an earlier catalogue, and there is none yet: name \
                 one in campaigns.earlier_catalog, or wait for a run of a later day"
                    .into(),
            );
        }
    }
    if plan.any(|rule| matches!(rule, Rule::CrossSell { .. })) {
        shop.complements = complements(inputs, &shop)?;
    }
    if plan.any(|rule| matches!(rule, Rule::Replenishment { .. })) {
        shop.intervals = intervals(inputs, plan, &shop)?;
    }
    for campaign in &plan.campaigns {
        if let Rule::ItemAffinity { of } | Rule::CrossSell { of, .. } = &campaign.rule {
            let unknown = unknown_names(&shop, of);
            done.warnings.extend(unknown.into_iter().map(|(key, name)| {
                format!("campaign.{}.{key} names `{name}`, which nothing in the shop goes by", campaign.config.name)
            }));
        }
    }
    Ok(shop)
}

fn write_assortment(inputs: &CampaignInputs<'_>, ids: &IdTable, catalog: &Catalog) -> Result<(), PipelineError> {
    let table = ItemTable {
        ids: ids.clone(),
        catalog: catalog.clone(),
        n_users: vec![0; ids.len()],
        popularity: vec![0.0; ids.len()],
    };
    write_items(inputs.run.file(ASSORTMENT)?, &table)?;
    Ok(())
}

/// What the catalogue said earlier, by item of the shop.
fn earlier(inputs: &CampaignInputs<'_>, past: &Past, items: &IdTable) -> Result<Option<EarlierCatalog>, PipelineError> {
    let config = inputs.config;
    let (ids, catalog) = match (&config.campaigns.earlier_catalog, &past.assortment) {
        (Some(path), _) => {
            let earlier = CatalogConfig { path: Some(path.clone()), columns: config.catalog.columns.clone() };
            read_listing(&earlier, inputs.storage, &IdTable::new())?
        }
        (None, Some(table)) => (table.ids.clone(), table.catalog.clone()),
        (None, None) => return Ok(None),
    };
    let n = items.len();
    let mut found = EarlierCatalog { listed: vec![false; n], available: vec![false; n], prices: vec![None; n] };
    for (item, id) in items.iter().enumerate() {
        if let Some(at) = ids.position(id) {
            found.listed[item] = catalog.listed[at];
            found.available[item] = catalog.available[at];
            found.prices[item] = catalog.prices[at];
        }
    }
    Ok(Some(found))
}

fn complements(inputs: &CampaignInputs<'_>, shop: &Shop) -> Result<Complements, PipelineError> {
    let kind = ListKind::BoughtTogether;
    let file = Reading::new(inputs).file(&format!("{0}/{0}.parquet", kind.name()))?;
    let mut lists = vec![Vec::new(); shop.items.len()];
    if let Some(file) = file {
        let mut reader = crate::artifacts::ListReader::open(file.path, kind, file.bytes)?;
        while let Some(table) = reader.next()? {
            for row in 0..table.len() {
                let Some(item) = shop.items.position(table.key(row)) else { continue };
                let entries = table.items(row).zip(table.scores(row));
                lists[item] =
                    entries.filter_map(|(other, &score)| Some((shop.items.position(other)? as u32, score))).collect();
            }
        }
    }
    let mut complements = Complements { offsets: vec![0], entries: Vec::new() };
    for list in lists {
        complements.entries.extend(list);
        complements.offsets.push(complements.entries.len());
    }
    Ok(complements)
}

fn intervals(
    inputs: &CampaignInputs<'_>,
    plan: &Plan,
    shop: &Shop,
) -> Result<Vec<Option<crate::campaigns::Interval>>, PipelineError> {
    let reading = Reading::new(inputs).of(plan, shop);
    let all = Mutex::new(Repurchases::default());
    (0..inputs.config.interactions.n_buckets).into_par_iter().with_max_len(1).try_for_each(|bucket| {
        let users = reading.pairs(bucket)?;
        let mut own = Repurchases::default();
        for user in 0..users.len() {
            users.pairs.of(user).for_each(|(item, pair)| own.add(item, pair.bought));
        }
        all.lock().expect("nobody panics while he holds the lock").merge(own);
        Ok::<_, PipelineError>(())
    })?;
    Ok(all.into_inner().expect("nobody panics while he holds the lock").finish(shop.items.len()))
}

/// Names of a filter that no item goes by, with their keys.
fn unknown_names<'a>(shop: &Shop, of: &'a ItemFilter) -> Vec<(&'static str, &'a str)> {
    [
        ("item_ids", &of.item_ids, &shop.items),
        ("brands", &of.brands, &shop.catalog.brand_names),
        ("categories", &of.categories, &shop.catalog.category_names),
    ]
    .into_iter()
    .flat_map(|(key, names, known)| {
        names.iter().filter(|name| known.position(name).is_none()).map(move |name| (key, name.as_str()))
    })
    .collect()
}
