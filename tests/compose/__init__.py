"""The mesh of docker-compose.yml on a real Docker engine: ``make compose-check``."""
