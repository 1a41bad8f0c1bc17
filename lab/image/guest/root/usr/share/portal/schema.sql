CREATE DATABASE portal;
USE portal;

CREATE TABLE doctors (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(64) NOT NULL,
    specialty VARCHAR(64) NOT NULL
) ENGINE=InnoDB;

CREATE TABLE patients (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(64) NOT NULL,
    born DATE NOT NULL
) ENGINE=InnoDB;

CREATE TABLE bills (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `key` VARCHAR(64) NOT NULL UNIQUE,
    patient_id INT UNSIGNED NOT NULL,
    doctor_id INT UNSIGNED NOT NULL,
    amount_cents INT UNSIGNED NOT NULL,
    paid BOOLEAN NOT NULL DEFAULT FALSE,
    FOREIGN KEY (patient_id) REFERENCES patients (id),
    FOREIGN KEY (doctor_id) REFERENCES doctors (id)
) ENGINE=InnoDB;

CREATE TABLE payments (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `key` VARCHAR(64) NOT NULL UNIQUE,
    bill_id BIGINT UNSIGNED NOT NULL UNIQUE,
    amount_cents INT UNSIGNED NOT NULL,
    FOREIGN KEY (bill_id) REFERENCES bills (id)
) ENGINE=InnoDB;

CREATE TABLE ledger (
    id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    writer VARCHAR(64) NOT NULL,
    seq BIGINT NOT NULL,
    payload CHAR(32) NOT NULL,
    UNIQUE KEY writer_seq (writer, seq)
) ENGINE=InnoDB;

INSERT INTO doctors
SELECT seq, CONCAT('Dr. Number ', seq),
       ELT(1 + seq % 5, 'general practice', 'cardiology', 'dermatology', 'neurology', 'paediatrics')
FROM seq_1_to_40;

INSERT INTO patients
SELECT seq, CONCAT('Patient Number ', seq), DATE '1940-01-01' + INTERVAL seq * 53 DAY
FROM seq_1_to_500;

CREATE USER portal@localhost IDENTIFIED VIA unix_socket;
GRANT SELECT, INSERT, UPDATE ON portal.* TO portal@localhost;

CREATE USER prometheus@localhost IDENTIFIED VIA unix_socket WITH MAX_USER_CONNECTIONS 3;
GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO prometheus@localhost;
