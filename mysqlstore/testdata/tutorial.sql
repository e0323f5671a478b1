-- The tutorial's tables as its application makes them, and the rows that sign-ups and
-- logins of seven people left there.
CREATE TABLE users (
  id int(11) NOT NULL AUTO_INCREMENT,
  name varchar(30) NOT NULL,
  email varchar(40) NOT NULL,
  password varchar(70) NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp(),
  updated_at datetime NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (id),
  UNIQUE KEY email (email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE refresh_tokens (
  user_id int(11) NOT NULL,
  token varchar(35) NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp(),
  KEY user_id (user_id),
  KEY token (token),
  CONSTRAINT refresh_tokens_ibfk_1 FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

INSERT INTO users (id, name, email, password, created_at, updated_at) VALUES
  (1, 'Ann Lee', 'ann@example.com', '$2b$10$UUCffLfXHhU.xaUrC9kb0Oi1u7D6X4RGvo12iYimMLbfKLvsn.l9C', '2026-11-23 21:07:37', '2026-11-23 21:07:37'),
  (2, 'Bob', 'BOB@Example.COM', '$2b$10$eO3bl47TiTdoElOrzGRwxufmrKb2FkfG9EITiFUFfZz0TmTwASC52', '2026-11-23 21:07:37', '2026-11-23 21:07:37'),
  (3, 'Tom &amp; Jerry', 'tom@example.com', '$2b$10$/yTRONSnOF4I5.4D5Vt57u/JGilCbhv5aKw94qtmgcWeKNZWQCAK.', '2026-11-23 21:07:37', '2026-11-23 21:07:37'),
  (4, '李小龙', 'lee@example.com', '$2b$10$zWL9fiBinL4nWY0FKpZVr.xPqsH23kyOoDkQRYrebvJMdt5XHfPh2', '2026-11-23 21:07:37', '2026-11-23 21:07:37'),
  (5, 'Eve', 'eve@example.com', '$2b$10$7mlXCIOCm1Wq30YfZRYiLOgwCf5y9c024SzFuZew7Y97zz2r6iAva', '2026-11-23 21:07:37', '2026-11-23 21:07:37'),
  (6, 'Zoë', 'zoë@example.com', '$2b$10$Yee9k4i2F0fM7RuUyPJZ3OfyAJ5oqQfRaOSnYhF3grgH1pDYF5qai', '2026-11-23 21:07:37', '2026-11-23 21:07:37'),
  (7, 'Long Pass', 'long@example.com', '$2b$10$8Soimj09WFZ50zmNa7Hr8uQP6XDa26/HkUQaOZPai/yDMjK7qcDLi', '2026-11-23 21:07:37', '2026-11-23 21:07:37');

INSERT INTO refresh_tokens (user_id, token, created_at) VALUES
  (1, 'fff8f177b45e9627a1533314f177737d', '2026-11-23 21:07:37'),
  (2, '5ac2ab41310bbb74acc5b25153d6bde6', '2026-11-23 21:07:37'),
  (3, '5cd143e6db076364c1fcdbf058a59faa', '2026-11-23 21:07:37'),
  (4, 'd95d575c66d7222d980499411d5e8eeb', '2026-11-23 21:07:37'),
  (5, 'e9b0ea71d19cbe2f9ef82cbab3980653', '2026-11-23 21:07:37'),
  (6, '9051b857e31e718888a2f6613c08f2d9', '2026-11-23 21:07:37'),
  (7, 'b2e21a674fae30b991c1717176269616', '2026-11-23 21:07:37');
