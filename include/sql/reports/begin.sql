-- Everything up to the last staging table is one transaction on one snapshot, so that reports agree with one another
-- and with their control totals while events go on arriving. The lock comes before the snapshot (LOCK TABLE takes
-- none) and makes a second run wait; readers do not notice it.
--
-- Cost: every refresh reads events whole, five times (control, sales, visits, products, searches), so it grows with the
-- events that there are; a removed file is simply not there any more. Three million events on 2 cores took 6 s. Only
-- sales and searches without result are sorted; the rest is hashed, in parallel (CREATE TABLE AS), into tables without
-- WAL. What is published is the difference to the last refresh, so writes grow with the change. When a refresh takes
-- longer than SLUICE_REPORT_EVERY_SECONDS, runs follow one another without overlapping: raise that setting.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL work_mem = '64MB';
SET LOCAL jit = off;
-- Airflow's sessions are not ours: also one of them that is frozen gives the reports free.
SET LOCAL idle_in_transaction_session_timeout = '60s';
LOCK TABLE report.last_refresh IN SHARE ROW EXCLUSIVE MODE;
