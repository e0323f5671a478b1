-- +goose Up
CREATE TABLE rate_limits (
  id BINARY(32) NOT NULL,
  full_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  KEY full_at (full_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE rate_limits;
