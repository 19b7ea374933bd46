"""What stands in a city: terrain, streets, lots, buildings, furniture, plants, cars and people, as meshes."""
