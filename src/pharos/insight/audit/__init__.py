"""Who asked what and what was answered: records that show when one of them was changed or is gone."""
