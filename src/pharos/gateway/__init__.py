"""Customs: everything that crosses the wall between the city and the models, tools and cities outside."""
